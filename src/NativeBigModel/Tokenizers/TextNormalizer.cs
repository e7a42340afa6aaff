using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tokenizers;

/// <summary>tokenizer.json's normalizer (huggingface/tokenizers, src/normalizers): what is done to a text before it is split into words.</summary>
internal sealed partial class TextNormalizer
{
    public static TextNormalizer None { get; } = new([]);

    private readonly List<Func<string, string>> _steps;

    private TextNormalizer(List<Func<string, string>> steps) => _steps = steps;

    public bool DoesNothing => _steps.Count == 0;

    /// <param name="file">The file whose content it is, for errors.</param>
    /// <param name="json">A normalizer as JSON; null is none.</param>
    /// <exception cref="CheckpointException">It is malformed.</exception>
    /// <exception cref="UnsupportedModelException">A step is unknown.</exception>
    public static TextNormalizer Parse(string file, string? json)
    {
        if (json is null) return None;
        using JsonDocument document = JsonFile.Parse(file, Encoding.UTF8.GetBytes(json));
        return Read(JsonField.Root(file, document));
    }

    public static TextNormalizer Read(JsonField root) => new([.. Flatten(root).Select(Step)]);

    /// <summary>The steps in the order in which they apply.</summary>
    public static IEnumerable<JsonField> Flatten(JsonField root) => SplittingRules.Flatten(root, "normalizers");

    public string Apply(string text) => _steps.Aggregate(text, static (current, step) => step(current));

    private static Func<string, string> Step(JsonField step)
    {
        switch (step.Get("type").Text())
        {
            case "NFC": return UnicodeNormalization.FormC;
            case "NFD": return static text => UnicodeNormalization.Form(text, NormalizationForm.FormD);
            case "NFKC": return static text => UnicodeNormalization.Form(text, NormalizationForm.FormKC);
            case "NFKD": return static text => UnicodeNormalization.Form(text, NormalizationForm.FormKD);
            case "Lowercase": return LowerCase.Apply;
            case "StripAccents": return BertText.DropMarks;
            case "BertNormalizer": return BertText.Normalizer(step);
            case "Precompiled": return PrecompiledMap.Read(step.Get("precompiled_charsmap")).Apply;
            case "Prepend":
                string prefix = step.Get("prepend").Text();
                return text => text.Length == 0 ? text : prefix + text;
            case "Strip":
                (bool left, bool right) = (step.Get("strip_left").Flag(), step.Get("strip_right").Flag());
                return text => left ? (right ? text.Trim() : text.TrimStart()) : right ? text.TrimEnd() : text;
            case "Replace":
                string content = step.Get("content").Text();
                if (step.Get("pattern").Find("String") is { } literal) return Replace(literal, content);
                return step.Get("pattern").Get("Regex").Text() is " {2,}" ? text => RunsOfSpaces().Replace(text, content.Replace("$", "$$", StringComparison.Ordinal)) : throw Unsupported(step, "a Replace by regular expression");
            case var type: throw Unsupported(step, type);
        }
    }

    private static Func<string, string> Replace(JsonField literal, string content)
    {
        string pattern = literal.Text();
        return pattern.Length > 0 ? text => text.Replace(pattern, content, StringComparison.Ordinal) : throw literal.Error("an empty pattern");
    }

    [GeneratedRegex(" {2,}")]
    private static partial Regex RunsOfSpaces();

    private static UnsupportedModelException Unsupported(JsonField step, string what) => new($"{step.File}: {step.Path}: the normalizer {what}");
}
