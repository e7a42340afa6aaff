using System.Text;

namespace NativeBigModel.Runtime;

/// <summary>Turns the bytes of tokens into text that can be shown: never half a character, and nothing that may yet turn out to be a stop string.</summary>
internal sealed class TextAssembler(IReadOnlyList<string> stops)
{
    private readonly Decoder _decoder = new UTF8Encoding(false, throwOnInvalidBytes: false).GetDecoder();
    private readonly StringBuilder _held = new();

    /// <summary>Whether a stop string has appeared; the text before it has been returned.</summary>
    public bool Stopped { get; private set; }

    /// <summary>Adds a token's bytes and returns the text that is certain.</summary>
    public string Add(ReadOnlySpan<byte> bytes) => Take(bytes, flush: false);

    /// <summary>Returns what was held back; nothing more will come.</summary>
    public string Finish() => Take([], flush: true);

    private string Take(ReadOnlySpan<byte> bytes, bool flush)
    {
        if (Stopped) return "";
        Span<char> chars = new char[_decoder.GetCharCount(bytes, flush)];
        _held.Append(chars[.._decoder.GetChars(bytes, chars, flush)]);
        string text = _held.ToString();
        int stop = FirstStop(text);
        Stopped = stop >= 0;
        int keep = Stopped ? 0 : flush ? 0 : stops.Select(s => Overlap(text, s)).DefaultIfEmpty(0).Max();
        string certain = Stopped ? text[..stop] : text[..^keep];
        _held.Clear().Append(text, text.Length - keep, keep);
        return certain;
    }

    // Where the stop string begins that is complete first, the longest of several: the same however the text is cut into tokens.
    private int FirstStop(string text) => stops
        .Select(stop => (Start: text.IndexOf(stop, StringComparison.Ordinal), stop.Length))
        .Where(found => found.Start >= 0)
        .OrderBy(found => found.Start + found.Length).ThenBy(found => found.Start)
        .Select(found => (int?)found.Start).FirstOrDefault() ?? -1;

    // The longest end of the text that begins the stop string.
    private static int Overlap(string text, string stop)
    {
        for (int length = Math.Min(text.Length, stop.Length - 1); length > 0; length--)
            if (text.AsSpan(text.Length - length).SequenceEqual(stop.AsSpan(0, length))) return length;
        return 0;
    }
}
