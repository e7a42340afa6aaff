namespace NativeBigModel.Tokenizers;

/// <summary>
/// How tokenizer.json prepares a text for byte-level BPE, in one spelling: each rule is a regular expression whose matches become words of their own.
/// Semantics of the parts: huggingface/tokenizers, src/pre_tokenizers.
/// </summary>
/// <param name="Rules">In the order in which they apply.</param>
/// <param name="NormalizeNfc">Whether the normalizer is NFC and nothing else.</param>
/// <param name="Space">The space that ByteLevel puts before a text.</param>
internal sealed record SplittingRules(string[] Rules, bool NormalizeNfc, SpacePrefix Space)
{
    /// <summary>The rule of a ByteLevel part with use_regex.</summary>
    public const string Gpt2 = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

    public const string EachDigit = @"\p{N}";
    public const string DigitRuns = @"\p{N}+";

    /// <summary>Ranges of a set: the letters with a case that some tokenizers know beyond the first 65536 characters.</summary>
    public const string CasedBeyondBmp = "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943";

    public const string AnyCase = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
    public const string DecimalRuns = @"\p{Nd}+";

    /// <summary>A set: one script.</summary>
    public const string Han = @"[\p{Han}]";

    /// <summary>Digits from the right in runs of 510, a multiple of three, which spares an engine that tries every split.</summary>
    public const string DigitChunks = @"\p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510}";

    public const string PunctuationRuns = "Punctuation.Contiguous";
    public const string EachPunctuation = "Punctuation.Isolated";

    private const string AnyCaseSpelledOut = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])";

    /// <summary>Null where the pre-tokenizer has no ByteLevel part, and the model so is no byte-level BPE.</summary>
    public static SplittingRules? Read(JsonField tokenizer)
    {
        List<JsonField> parts = tokenizer.Find("pre_tokenizer") is { } root ? [.. Flatten(root, "pretokenizers")] : [];
        if (!parts.Any(part => part.Get("type").Text() is "ByteLevel")) return null;
        bool prefix = parts.Any(PutsSpaceBefore);
        // It stands before every part that the earlier rules made, and these are llama.cpp's.
        if (prefix && !PutsSpaceBefore(parts[0])) throw Unsupported(parts[0], $"{parts[0].Get("type").Text()} before ByteLevel with add_prefix_space");
        return new([.. parts.Select(Rule).OfType<string>()], OnlyNfc(tokenizer), prefix ? SpacePrefix.ByteLevel : SpacePrefix.None);
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
                return part.Find("use_regex")?.Flag() is false ? null : Gpt2;
            case "Digits":
                return part.Find("individual_digits")?.Flag() is true ? EachDigit : DigitRuns;
            case "Punctuation" when part.Find("behavior")?.Text() is "Contiguous":
                return PunctuationRuns;
            case "Punctuation" when (part.Find("behavior")?.Text() ?? "Isolated") is "Isolated":
                return EachPunctuation;
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

    private static bool PutsSpaceBefore(JsonField part) => part.Get("type").Text() is "ByteLevel" && part.Find("add_prefix_space")?.Flag() is not false;

    private static bool OnlyNfc(JsonField tokenizer) =>
        tokenizer.Find("normalizer") is { } root && Flatten(root, "normalizers").ToList() is [var only] && only.Get("type").Text() is "NFC";

    private static UnsupportedModelException Unsupported(JsonField part, string what) => new($"{part.File}: {part.Path}: the pre-tokenizer {what}");
}
