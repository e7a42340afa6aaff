namespace NativeBigModel.Tokenizers;

/// <summary>
/// Polynomial hashes, modulo 2^64, of a text and of both sides of every cut through it, in time linear in its length.
/// A collision can only come from a file made for it, and only leads to refusing that file.
/// </summary>
internal sealed class TextHashes
{
    private const ulong Base = 0x9E3779B97F4A7C15;

    private readonly ulong[] _powers;

    public TextHashes(int longest)
    {
        _powers = new ulong[longest + 1];
        _powers[0] = 1;
        for (int i = 1; i <= longest; i++) _powers[i] = unchecked(_powers[i - 1] * Base);
    }

    public static ulong Of(ReadOnlySpan<char> text)
    {
        ulong hash = 0;
        foreach (char letter in text) hash = unchecked(hash * Base + letter + 1);
        return hash;
    }

    public IEnumerable<(ulong Left, ulong Right)> Cuts(string text)
    {
        ulong whole = Of(text);
        ulong left = 0;
        for (int i = 0; i + 1 < text.Length; i++)
        {
            left = unchecked(left * Base + text[i] + 1);
            yield return (left, unchecked(whole - left * _powers[text.Length - i - 1]));
        }
    }
}
