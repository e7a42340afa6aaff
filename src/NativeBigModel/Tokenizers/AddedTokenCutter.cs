using System.Buffers;
using System.Globalization;
using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>A stretch of text, or a token that stood in it.</summary>
internal readonly record struct TextPiece(string Text, int? Token = null);

/// <summary>Cuts added tokens out of a text: the leftmost, and of those that begin there the longest (huggingface/tokenizers, added_vocabulary.rs).</summary>
internal sealed class AddedTokenCutter
{
    private readonly Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> _ids;
    private readonly SearchValues<string> _texts;
    private readonly int[] _lengths;
    private readonly HashSet<int> _trimBefore, _trimAfter, _wholeWord;

    /// <param name="tokens">Spellings and ids.</param>
    /// <param name="rules">Which of them take white space along, or are none inside a word.</param>
    public AddedTokenCutter(IEnumerable<(string Text, int Id)> tokens, TextRules rules)
    {
        Dictionary<string, int> ids = new(StringComparer.Ordinal);
        foreach ((string text, int id) in tokens) ids.TryAdd(text, id);
        _ids = ids.GetAlternateLookup<ReadOnlySpan<char>>();
        _texts = SearchValues.Create([.. ids.Keys], StringComparison.Ordinal);
        _lengths = [.. ids.Keys.Select(text => text.Length).Distinct().OrderDescending()];
        (_trimBefore, _trimAfter, _wholeWord) = ([.. rules.TrimBefore], [.. rules.TrimAfter], [.. rules.WholeWord]);
    }

    /// <summary>The pieces in order; the stretches are not empty. One at place 0 begins where the text does.</summary>
    /// <param name="text">The text.</param>
    /// <param name="isText">Asked of each spelling, [begin, end), in order: whether it is text and no token. Null where all are tokens.</param>
    public IEnumerable<(TextPiece Piece, int At)> Cut(string text, Func<int, int, int, bool>? isText = null)
    {
        int start = 0;
        for (int from = 0; Next(text, from) is (var begin, var end, { } token); from = end)
        {
            if (isText?.Invoke(token, begin, end) is true) continue;
            if (_wholeWord.Contains(token) && (EndsWithWord(text.AsSpan(0, begin)) || BeginsWithWord(text.AsSpan(end)))) continue;
            if (_trimBefore.Contains(token)) begin = start + text.AsSpan(start, begin - start).TrimEnd().Length;
            if (_trimAfter.Contains(token)) end += text.Length - end - text.AsSpan(end).TrimStart().Length;
            if (begin > start) yield return (new(text[start..begin]), start);
            yield return (new("", token), begin);
            start = end;
        }
        if (start < text.Length) yield return (new(text[start..]), start);
    }

    private (int Begin, int End, int? Token) Next(string text, int start)
    {
        for (int from = start; from < text.Length; from++)
        {
            int offset = text.AsSpan(from).IndexOfAny(_texts);
            if (offset < 0) break;
            from += offset;
            foreach (int length in _lengths)
            {
                if (length <= text.Length - from && _ids.TryGetValue(text.AsSpan(from, length), out int id)) return (from, from + length, id);
            }
        }
        return (text.Length, text.Length, null);
    }

    private static bool BeginsWithWord(ReadOnlySpan<char> text) => Rune.DecodeFromUtf16(text, out Rune rune, out _) is OperationStatus.Done && IsWord(rune);

    private static bool EndsWithWord(ReadOnlySpan<char> text) => Rune.DecodeLastFromUtf16(text, out Rune rune, out _) is OperationStatus.Done && IsWord(rune);

    // \w of Rust's regular expressions.
    private static bool IsWord(Rune rune) => Rune.IsLetterOrDigit(rune) || rune.Value is 0x200C or 0x200D || Rune.GetUnicodeCategory(rune) is
        UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark or UnicodeCategory.EnclosingMark or UnicodeCategory.ConnectorPunctuation or UnicodeCategory.LetterNumber;
}
