using System.Buffers;
using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// What the tokenizer does to a text and llama.cpp does not: NFC, white space that added tokens take along, and Metaspace's space at the beginning.
/// A text through <see cref="Apply"/>, tokenized by a model that was given <see cref="Vocabulary"/>, gets Hugging Face's ids.
/// </summary>
internal sealed class TextPreparation
{
    private readonly Dictionary<string, int> _cutAlways = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _cutSpecial = new(StringComparer.Ordinal);
    private readonly int[] _lengths;
    private readonly SearchValues<string> _texts;
    private readonly HashSet<int> _trimBefore;
    private readonly HashSet<int> _trimAfter;

    public TextPreparation(Vocabulary vocabulary)
    {
        (_trimBefore, _trimAfter) = ([.. vocabulary.TrimBefore], [.. vocabulary.TrimAfter]);
        Vocabulary = vocabulary with { AddSpacePrefix = vocabulary.SpacePrefix switch
        {
            SpacePrefix.AlwaysUnlessSpace or SpacePrefix.FirstUnlessSpace => false,
            _ => vocabulary.AddSpacePrefix,
        } };
        for (int id = 0; id < vocabulary.Tokens.Length; id++)
        {
            if (vocabulary.Kinds[id] is TokenKind.UserDefined) _cutAlways.TryAdd(vocabulary.Tokens[id], id);
            else if (vocabulary.Kinds[id] is TokenKind.Control or TokenKind.Unknown) _cutSpecial.TryAdd(vocabulary.Tokens[id], id);
        }
        string[] texts = [.. _cutAlways.Keys, .. _cutSpecial.Keys];
        _texts = SearchValues.Create(texts, StringComparison.Ordinal);
        _lengths = [.. texts.Select(text => text.Length).Distinct().OrderDescending()];
    }

    /// <summary>The vocabulary for llama.cpp; it differs from the one given where <see cref="Apply"/> puts the spaces.</summary>
    public Vocabulary Vocabulary { get; }

    /// <param name="text">The raw text.</param>
    /// <param name="parseSpecial">Whether control tokens written out in the text are tokens, as in llama_tokenize.</param>
    public string Apply(string text, bool parseSpecial)
    {
        bool spaces = Vocabulary.SpacePrefix is SpacePrefix.AlwaysUnlessSpace or SpacePrefix.FirstUnlessSpace;
        if (!Vocabulary.NormalizeNfc && !spaces && _trimBefore.Count + _trimAfter.Count == 0) return text;

        StringBuilder prepared = new(text.Length + 1);
        int start = 0;
        int? previous = null;
        while (start < text.Length)
        {
            (int at, int length, int? token) = Next(text, start, parseSpecial);
            prepared.Append(Stretch(text.AsSpan(start, at - start), isFirst: start == 0, previous, token));
            prepared.Append(text, at, length);
            (start, previous) = (at + length, token);
        }
        return prepared.ToString();
    }

    private string Stretch(ReadOnlySpan<char> stretch, bool isFirst, int? previous, int? next)
    {
        if (previous is { } left && _trimAfter.Contains(left)) stretch = stretch.TrimStart();
        if (next is { } right && _trimBefore.Contains(right)) stretch = stretch.TrimEnd();
        if (stretch.IsEmpty) return "";
        bool prefix = Vocabulary.SpacePrefix is SpacePrefix.AlwaysUnlessSpace || (isFirst && Vocabulary.SpacePrefix is SpacePrefix.FirstUnlessSpace);
        string text = prefix && stretch[0] is not (' ' or '\u2581') ? $" {stretch}" : stretch.ToString();
        return Vocabulary.NormalizeNfc ? UnicodeNormalization.FormC(text) : text;
    }

    // The leftmost added token from start on, and there the longest.
    private (int At, int Length, int? Token) Next(string text, int start, bool parseSpecial)
    {
        for (int from = start; from < text.Length; from++)
        {
            int offset = text.AsSpan(from).IndexOfAny(_texts);
            if (offset < 0) break;
            from += offset;
            foreach (int length in _lengths)
            {
                if (length > text.Length - from) continue;
                ReadOnlySpan<char> candidate = text.AsSpan(from, length);
                if (Find(_cutAlways, candidate) is { } cut) return (from, length, cut);
                if (parseSpecial && Find(_cutSpecial, candidate) is { } special) return (from, length, special);
            }
        }
        return (text.Length, 0, null);
    }

    private static int? Find(Dictionary<string, int> ids, ReadOnlySpan<char> text) =>
        ids.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(text, out int id) ? id : null;
}
