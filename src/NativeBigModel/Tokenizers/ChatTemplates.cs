using NativeBigModel.Chat;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// A folder's chat templates, in transformers' order: chat_template.jinja with the files of additional_chat_templates, else chat_template.json, else
/// tokenizer_config.json's, a string or a list of named ones.
/// </summary>
internal static class ChatTemplates
{
    private static readonly string[] s_named = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    public static IReadOnlyDictionary<string, string> Read(TokenizerFiles files)
    {
        Dictionary<string, string> templates = new(StringComparer.Ordinal);
        if (files.ReadChatTemplate() is { } jinja)
        {
            templates[ChatTemplate.DefaultName] = jinja;
            foreach ((string name, string template) in files.ReadMoreChatTemplates()) templates[name] = template;
            return templates;
        }
        if ((files.ChatTemplateJson?.Find("chat_template") ?? files.Config?.Find("chat_template")) is not { } field) return templates;
        if (!field.IsArray) templates[ChatTemplate.DefaultName] = field.Text();
        else foreach (JsonField named in field.Items()) templates[named.Get("name").Text()] = named.Get("template").Text();
        return templates;
    }

    /// <summary>The spellings of bos_token and the like that the files give.</summary>
    public static IReadOnlyDictionary<string, string> NamedTokens(TokenizerFiles files) => s_named
        .Select(name => (name, Text: files.SpecialText(name)))
        .Where(token => token.Text is not null)
        .ToDictionary(token => token.name, token => token.Text!);
}
