using System.Buffers;

namespace NativeBigModel.Chat;

/// <summary>The spellings of special tokens.</summary>
internal sealed class Spellings
{
    private readonly SearchValues<string>? _values;
    private readonly string[] _longestFirst;

    public Spellings(IEnumerable<string> texts)
    {
        _longestFirst = [.. texts.Where(text => text.Length > 0).Distinct().OrderByDescending(text => text.Length)];
        _values = _longestFirst.Length > 0 ? SearchValues.Create(_longestFirst, StringComparison.Ordinal) : null;
    }

    public bool IsIn(string text) => _values is not null && text.AsSpan().ContainsAny(_values);

    /// <summary>Where they stand, [Begin, End), the leftmost and of those the longest.</summary>
    public IEnumerable<(int Begin, int End)> Places(string text)
    {
        if (_values is null) yield break;
        for (int at = 0; text.AsSpan(at).IndexOfAny(_values) is >= 0 and var offset;)
        {
            at += offset;
            string spelling = _longestFirst.First(one => text.AsSpan(at).StartsWith(one, StringComparison.Ordinal));
            yield return (at, at + spelling.Length);
            at += spelling.Length;
        }
    }

    /// <summary>The text with each spelling overwritten by <paramref name="letter"/>.</summary>
    public string Replace(string text, char letter)
    {
        if (!IsIn(text)) return text;
        char[] result = text.ToCharArray();
        foreach (string spelling in _longestFirst)
        {
            for (int at = text.IndexOf(spelling, StringComparison.Ordinal); at >= 0; at = text.IndexOf(spelling, at + 1, StringComparison.Ordinal)) result.AsSpan(at, spelling.Length).Fill(letter);
        }
        return new(result);
    }
}
