namespace NativeBigModel.Tokenizers;

/// <summary>
/// How tokenizer.json prepares a text for byte-level BPE, in one spelling: each rule is a regular expression whose matches become words of their own.
/// Semantics of the parts: huggingface/tokenizers, src/pre_tokenizers.
/// </summary>
internal sealed record SplittingRules(string[] Rules, bool NormalizeNfc)
{
    /// <summary>The rule of a ByteLevel part with use_regex.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public const string EachDigit = @"\p{N}";
    public const string DigitRuns = @"\p{N}+";
    public const string PunctuationRuns = "Punctuation.Contiguous";

    private const string AnyCase = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    private const string AnyCaseSpelledOut = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

    /// <summary>Null where the pre-tokenizer has no ByteLevel part, and the model so is no byte-level BPE.</summary>
    public static SplittingRules? Read(JsonField tokenizer)
    {
        List<JsonField> parts = tokenizer.Find("pre_tokenizer") is { } root ? [.. Flatten(root, "pretokenizers")] : [];
        if (!parts.Any(part => part.Get("type").Text() is "ByteLevel")) return null;
        return new([.. parts.Select(Rule).OfType<string>()], ReadNfc(tokenizer));
    }

    /// <summary>Steps of a normalizer or pre-tokenizer in the order in which they apply.</summary>
    public static IEnumerable<JsonField> Flatten(JsonField root, string list) =>
        root.Get("type").Text() is "Sequence" ? root.Get(list).Items().SelectMany(part => Flatten(part, list)) : [root];

    private static string? Rule(JsonField part)
    {
        string type = part.Get("type").Text();
        switch (type)
        {
            case "ByteLevel":
                if (part.Find("add_prefix_space")?.Flag() is not false) throw Unsupported(part, "ByteLevel with add_prefix_space");
                return part.Find("use_regex")?.Flag() is false ? null : Gpt2;
            case "Digits":
                return part.Find("individual_digits")?.Flag() is true ? EachDigit : DigitRuns;
            case "Punctuation" when part.Find("behavior")?.Text() is "Contiguous":
                return PunctuationRuns;
            case "Split" when part.Get("pattern").Find("Regex") is { } regex:
                if (part.Get("behavior").Text() is not "Isolated" || part.Find("invert")?.Flag() is true)
                {
                    throw Unsupported(part, $"{part.Get("behavior").Text()} splitting by {regex.Text()}");
                }
                return Spell(regex.Text());
            default:
                throw Unsupported(part, type);
        }
    }

    private static string Spell(string regex) =>
        regex.Replace("\r", @"\r", StringComparison.Ordinal).Replace("\n", @"\n", StringComparison.Ordinal).Replace(AnyCaseSpelledOut, AnyCase, StringComparison.Ordinal);

    private static bool ReadNfc(JsonField tokenizer)
    {
        bool nfc = false;
        foreach (JsonField step in tokenizer.Find("normalizer") is { } root ? Flatten(root, "normalizers") : [])
        {
            if (step.Get("type").Text() is not "NFC") throw new UnsupportedModelException($"{step.File}: {step.Path}: the normalizer {step.Get("type").Text()} before byte-level BPE");
            nfc = true;
        }
        return nfc;
    }

    private static UnsupportedModelException Unsupported(JsonField part, string what) => new($"{part.File}: {part.Path}: the pre-tokenizer {what}");
}
