namespace NativeBigModel.Tokenizers;

/// <summary>Where a SentencePiece-like tokenizer puts a space that the text does not have.</summary>
internal enum SpacePrefix
{
    /// <summary>Nowhere.</summary>
    None,

    /// <summary>Before every stretch of text between added tokens: the Prepend normalizer, and what llama.cpp does.</summary>
    Always,

    /// <summary>As <see cref="Always"/>, but not where the stretch begins with a space: Metaspace with prepend_scheme "always".</summary>
    AlwaysUnlessSpace,

    /// <summary>Before the first stretch only, unless it begins with a space: Metaspace with prepend_scheme "first".</summary>
    FirstUnlessSpace,
}

/// <summary>How a tokenizer.json treats spaces and Unicode before BPE with byte fallback.</summary>
internal sealed record SpaceRules(SpacePrefix Prefix, bool NormalizeNfc, bool SplitsAtSpaces)
{
    public const string Space = "\u2581";

    public static SpaceRules Read(JsonField tokenizer)
    {
        (SpacePrefix prefix, bool nfc, bool replaces, bool splits) = (SpacePrefix.None, false, false, false);
        foreach (JsonField step in tokenizer.Find("normalizer") is { } root ? SplittingRules.Flatten(root, "normalizers") : [])
        {
            switch (step.Get("type").Text())
            {
                case "NFC": nfc = true; break;
                case "Prepend" when !replaces && step.Get("prepend").Text() is Space: prefix = SpacePrefix.Always; break;
                case "Replace" when ReplacesSpace(step): replaces = true; break;
                case var type: throw new UnsupportedModelException($"{step.File}: {step.Path}: the normalizer {type} before BPE with byte fallback");
            }
        }
        foreach (JsonField step in tokenizer.Find("pre_tokenizer") is { } root ? SplittingRules.Flatten(root, "pretokenizers") : [])
        {
            switch (step.Get("type").Text())
            {
                case "Metaspace" when !replaces && (step.Find("replacement")?.Text() ?? Space) is Space:
                    prefix = Scheme(step);
                    splits = step.Find("split")?.Flag() is not false;
                    replaces = true;
                    break;
                case "Split" when replaces && step.Get("pattern").Find("String")?.Text() is " ":
                    break; // there is no space left to split at
                case var type:
                    throw new UnsupportedModelException($"{step.File}: {step.Path}: the pre-tokenizer {type} before BPE with byte fallback");
            }
        }
        return replaces ? new(prefix, nfc, splits) : throw new UnsupportedModelException($"{tokenizer.File}: normalizer: BPE with byte fallback that does not turn spaces into {Space}");
    }

    private static bool ReplacesSpace(JsonField step) =>
        step.Get("pattern").Find("String")?.Text() is " " && step.Get("content").Text() is Space;

    private static SpacePrefix Scheme(JsonField step)
    {
        if (step.Find("prepend_scheme") is not { } scheme)
        {
            return step.Find("add_prefix_space")?.Flag() is false ? SpacePrefix.None : SpacePrefix.AlwaysUnlessSpace;
        }
        return scheme.Text() switch
        {
            "always" => SpacePrefix.AlwaysUnlessSpace,
            "first" => SpacePrefix.FirstUnlessSpace,
            "never" => SpacePrefix.None,
            var other => throw scheme.Error($"\"{other}\" is not always, first or never"),
        };
    }
}
