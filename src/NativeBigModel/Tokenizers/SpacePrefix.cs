namespace NativeBigModel.Tokenizers;

/// <summary>Where a pre-tokenizer puts a space that the text does not have. None puts a second one.</summary>
internal enum SpacePrefix
{
    None,

    /// <summary>Before every stretch of text between added tokens: ByteLevel with add_prefix_space.</summary>
    ByteLevel,

    /// <summary>Before every stretch: Metaspace with prepend_scheme "always".</summary>
    Metaspace,

    /// <summary>Before the stretch that the text begins with: Metaspace with prepend_scheme "first".</summary>
    MetaspaceFirst,

    /// <summary>Before every word, all other white space gone: WhitespaceSplit and Metaspace.</summary>
    MetaspaceWords,
}

/// <summary>How a tokenizer.json treats spaces before a model of SentencePiece's: BPE with byte fallback, or Unigram.</summary>
/// <param name="Space">The pre-tokenizer's space.</param>
/// <param name="Prepends">Whether the normalizer puts one before every stretch.</param>
/// <param name="SplitsAtSpaces">Whether no token spans a space.</param>
internal sealed record SpaceRules(SpacePrefix Space, bool Prepends, bool SplitsAtSpaces)
{
    public const string Symbol = "\u2581";

    /// <summary>Whether a text that stands alone begins with a space, as near as llama.cpp's add_space_prefix comes to it.</summary>
    public bool PutsSpaceBefore => Prepends || Space is not SpacePrefix.None;

    public static SpaceRules Read(JsonField tokenizer)
    {
        (bool prepends, bool replaces) = (false, false);
        foreach (JsonField step in tokenizer.Find("normalizer") is { } root ? TextNormalizer.Flatten(root) : [])
        {
            if (step.Get("type").Text() is "Prepend" && step.Get("prepend").Text() is Symbol) prepends = true;
            if (step.Get("type").Text() is "Replace" && step.Get("pattern").Find("String")?.Text() is " " && step.Get("content").Text() is Symbol) replaces = true;
        }
        (SpacePrefix space, bool splits, bool words) = (SpacePrefix.None, false, false);
        foreach (JsonField step in tokenizer.Find("pre_tokenizer") is { } root ? SplittingRules.Flatten(root, "pretokenizers") : [])
        {
            switch (step.Get("type").Text())
            {
                case "WhitespaceSplit" when !replaces:
                    words = true;
                    break;
                case "Metaspace" when !replaces && (step.Find("replacement")?.Text() ?? Symbol) is Symbol:
                    (space, splits, replaces) = (Scheme(step), step.Find("split")?.Flag() is not false, true);
                    break;
                case "Split" when replaces && step.Get("pattern").Find("String")?.Text() is " ":
                    break; // there is no space left to split at
                case var type:
                    throw new UnsupportedModelException($"{step.File}: {step.Path}: the pre-tokenizer {type} before a model of SentencePiece's");
            }
        }
        if (!replaces) throw new UnsupportedModelException($"{tokenizer.File}: normalizer: a model of SentencePiece's that does not turn spaces into {Symbol}");
        if (!words) return new(space, prepends, splits);
        return space is SpacePrefix.Metaspace && !prepends
            ? new(SpacePrefix.MetaspaceWords, prepends, SplitsAtSpaces: true)
            : throw new UnsupportedModelException($"{tokenizer.File}: pre_tokenizer: WhitespaceSplit without Metaspace before every word");
    }

    /// <summary>For a pre-tokenizer that splits at spaces, as llama.cpp does not.</summary>
    public static void RefuseTokensAcrossSpaces(string file, TokenTable table)
    {
        for (int id = 0; id < table.Size; id++)
        {
            if (table[id] is { } text && table.KindOf(id) is TokenKind.Normal && text.IndexOf(Symbol, 1, StringComparison.Ordinal) > 0)
            {
                throw new UnsupportedModelException($"{file}: pre_tokenizer: Metaspace splits at spaces, but token {id}, \"{text}\", spans one; llama.cpp does not split");
            }
        }
    }

    private static SpacePrefix Scheme(JsonField step)
    {
        if (step.Find("prepend_scheme") is not { } scheme)
        {
            return step.Find("add_prefix_space")?.Flag() is false ? SpacePrefix.None : SpacePrefix.Metaspace;
        }
        return scheme.Text() switch
        {
            "always" => SpacePrefix.Metaspace,
            "first" => SpacePrefix.MetaspaceFirst,
            "never" => SpacePrefix.None,
            var other => throw scheme.Error($"\"{other}\" is not always, first or never"),
        };
    }
}
