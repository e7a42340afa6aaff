using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>How token texts become one text again.</summary>
internal enum TextJoin
{
    /// <summary>One after the other.</summary>
    Plain,

    /// <summary>As <see cref="Plain"/>, without the space that the whole begins with.</summary>
    WithoutFirstSpace,

    /// <summary>WordPiece: spaces between words and around special tokens.</summary>
    Words,

    /// <summary>As <see cref="Words"/>, without spaces before punctuation.</summary>
    CleanWords,
}

/// <summary>
/// What a tokenizer does before and after its model, of which llama.cpp's keys express the common part at best. The library does all of it itself
/// (<see cref="TextPreparation"/>); a GGUF file keeps it in keys of its own, beside llama.cpp's nearest.
/// </summary>
internal sealed record TextRules
{
    private const string Prefix = "nbm.text.";

    /// <summary>Ids before a text that is encoded with special tokens.</summary>
    public IReadOnlyList<int> Leading { get; init; } = [];

    /// <summary>Ids after a text that is encoded with special tokens.</summary>
    public IReadOnlyList<int> Trailing { get; init; } = [];

    /// <summary>Added tokens that take the white space before them along ("lstrip").</summary>
    public IReadOnlyList<int> TrimBefore { get; init; } = [];

    /// <summary>Added tokens that take the white space after them along ("rstrip").</summary>
    public IReadOnlyList<int> TrimAfter { get; init; } = [];

    /// <summary>Added tokens that are none inside a word ("single_word").</summary>
    public IReadOnlyList<int> WholeWord { get; init; } = [];

    /// <summary>Added tokens that are looked for after the text was normalised, in their own normalised spelling ("normalized").</summary>
    public IReadOnlyList<int> Normalized { get; init; } = [];

    /// <summary>tokenizer.json's normalizer, verbatim; see <see cref="TextNormalizer"/>.</summary>
    public string? Normalizer { get; init; }

    /// <summary>The space that the pre-tokenizer puts before a text.</summary>
    public SpacePrefix Space { get; init; }

    /// <summary>Characters of the longest word that WordPiece looks up; a longer one is unknown. 0: no limit.</summary>
    public int LongestWord { get; init; }

    public TextJoin Join { get; init; }

    /// <summary>Whether llama.cpp's own keys say what stands around a text, and not <see cref="Leading"/> and <see cref="Trailing"/>.</summary>
    public bool EngineSurrounds { get; private init; }

    /// <summary>For a file by another program: what the name of a pre-tokenizer says.</summary>
    public static TextRules? ImpliedBy(PreTokenizer? words) =>
        words is null ? null : new() { Normalizer = words.Nfc ? """{"type": "NFC"}""" : null, EngineSurrounds = true };

    public void WriteTo(GgufMetadata metadata)
    {
        metadata[Prefix + "space"] = Space.ToString();
        metadata[Prefix + "join"] = Join.ToString();
        if (Normalizer is not null) metadata[Prefix + "normalizer"] = Normalizer;
        if (LongestWord > 0) metadata[Prefix + "longest_word"] = LongestWord;
        foreach ((string name, IReadOnlyList<int> ids) in Lists())
        {
            if (ids.Count > 0) metadata[Prefix + name] = ids.ToArray();
        }
    }

    /// <summary>The rules that <see cref="WriteTo"/> left in a file; null where another program wrote it.</summary>
    /// <exception cref="CheckpointException">They are malformed.</exception>
    public static TextRules? Read(GgufKeys keys, int tokens)
    {
        if (keys.String(Prefix + "space") is not { } space) return null;
        return new()
        {
            Space = Parse<SpacePrefix>(keys, "space", space),
            Join = Parse<TextJoin>(keys, "join", keys.String(Prefix + "join") ?? ""),
            Normalizer = keys.String(Prefix + "normalizer"),
            LongestWord = keys.Int(Prefix + "longest_word", 1, int.MaxValue) ?? 0,
            Leading = Ids(keys, "leading", tokens),
            Trailing = Ids(keys, "trailing", tokens),
            TrimBefore = Ids(keys, "trim_before", tokens),
            TrimAfter = Ids(keys, "trim_after", tokens),
            WholeWord = Ids(keys, "whole_word", tokens),
            Normalized = Ids(keys, "normalized", tokens),
        };
    }

    private IEnumerable<(string Name, IReadOnlyList<int> Ids)> Lists() =>
        [("leading", Leading), ("trailing", Trailing), ("trim_before", TrimBefore), ("trim_after", TrimAfter), ("whole_word", WholeWord), ("normalized", Normalized)];

    private static T Parse<T>(GgufKeys keys, string name, string value) where T : struct, Enum =>
        Enum.GetNames<T>().Contains(value) ? Enum.Parse<T>(value) : throw keys.Error(Prefix + name, $"is '{value}', and must be one of {string.Join(", ", Enum.GetNames<T>())}");

    private static int[] Ids(GgufKeys keys, string name, int tokens)
    {
        if (keys.ArrayLength(Prefix + name) is null) return [];
        int[] ids = keys.Integers(Prefix + name) ?? throw keys.Error(Prefix + name, "must be an array of int32");
        int wrong = Array.FindIndex(ids, id => (uint)id >= (uint)tokens);
        return wrong < 0 ? ids : throw keys.Error(Prefix + name, $"holds token {ids[wrong]} of {tokens}");
    }
}
