using System.Text.Json;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>
/// Models of pictures and text whose text part is one that a family reads: its configuration is <c>text_config</c>, its weights have a name of their own before theirs, and what
/// sees pictures is left out.
/// </summary>
internal static class TextPart
{
    // The class, the type and class of its text part, and what that type's configuration has where a published one says nothing.
    private static readonly (string Class, string TextType, string Family, string Defaults)[] s_wrappers =
    [
        ("Gemma3ForConditionalGeneration", "gemma3_text", "Gemma3ForCausalLM", """{ "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208 }"""),
        ("Mistral3ForConditionalGeneration", "mistral", "MistralForCausalLM", "{}"),
    ];

    /// <summary>What a user is told of it.</summary>
    public const string Note = "only the text part is read: this model sees no pictures here";

    /// <summary>The classes that have one.</summary>
    public static IEnumerable<string> HuggingFaceClasses => s_wrappers.Select(wrapper => wrapper.Class);

    private static readonly string[] s_withoutText = ["vision_tower.", "multi_modal_projector."];

    /// <summary>The configuration of the text part, or the configuration itself where there are no others.</summary>
    /// <exception cref="UnsupportedModelException">No family reads the text part.</exception>
    public static ConfigReader Of(ConfigReader config)
    {
        (string _, string type, string family, string defaults) = s_wrappers.FirstOrDefault(wrapper => config.Strings("architectures").FirstOrDefault() == wrapper.Class);
        if (type is null) return config;
        ConfigReader text = config.OptionalObject("text_config") ?? throw config.Error("text_config", "is missing");
        if (text.OptionalString("model_type") is { } other && other != type)
            throw new UnsupportedModelException($"config.json: text_config.model_type: '{other}' is not supported in this class, '{type}' is");
        return Constant($$"""{ "architectures": ["{{family}}"] }""").Then(text).Then(Constant(defaults)).Then(config).AsTextPart();
    }

    /// <summary>The names under which a weight of the text part may be stored, as transformers 4 and 5 have it.</summary>
    public static IEnumerable<string> StoredNames(string name)
    {
        const string Model = "model.", Text = "language_model.";
        yield return Text + name;
        if (name.StartsWith(Model, StringComparison.Ordinal)) yield return Model + Text + name[Model.Length..];
        else yield return name;
    }

    /// <summary>The weight that is stored under a name, or null where it is not of the text part.</summary>
    public static string? NameOf(string stored)
    {
        const string Model = "model.", Text = "language_model.";
        if (stored.StartsWith(Text, StringComparison.Ordinal)) return stored[Text.Length..];
        string name = stored.StartsWith(Model, StringComparison.Ordinal) ? stored[Model.Length..] : stored;
        if (s_withoutText.Any(part => name.StartsWith(part, StringComparison.Ordinal))) return null;
        return name.StartsWith(Text, StringComparison.Ordinal) ? Model + name[Text.Length..] : stored;
    }

    private static ConfigReader Constant(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        return new ConfigReader("config.json", "", document.RootElement.Clone());
    }
}
