namespace NativeBigModel.Tokenizers;

/// <summary>The chat template: chat_template.jinja, else tokenizer_config.json's, a string or a list whose entry "default" counts.</summary>
internal static class ChatTemplates
{
    public static string? Read(TokenizerFiles files)
    {
        if (files.ReadChatTemplate() is { } jinja) return jinja;
        if (files.Config?.Find("chat_template") is not { } template) return null;
        if (!template.IsArray) return template.Text();
        foreach (JsonField named in template.Items())
        {
            if (named.Get("name").Text() is "default") return named.Get("template").Text();
        }
        return null;
    }
}
