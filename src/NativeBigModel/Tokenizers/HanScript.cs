using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>The characters of the script Han, which .NET's expressions have no name for. Unicode 16.0, Scripts.txt, sc=Han.</summary>
internal static class HanScript
{
    /// <summary>Ranges of a set: the first 65536 characters.</summary>
    public const string Bmp = @"\u2e80-\u2e99\u2e9b-\u2ef3\u2f00-\u2fd5\u3005\u3007\u3021-\u3029\u3038-\u303b\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufa6d\ufa70-\ufad9";

    private static readonly (int First, int Last)[] s_beyond =
    [
        (0x16FE2, 0x16FE3), (0x16FF0, 0x16FF1), (0x20000, 0x2A6DF), (0x2A700, 0x2B739), (0x2B740, 0x2B81D), (0x2B820, 0x2CEA1), (0x2CEB0, 0x2EBE0), (0x2EBF0, 0x2EE5D),
        (0x2F800, 0x2FA1D), (0x30000, 0x3134A), (0x31350, 0x323AF),
    ];

    /// <summary>Whether the character is of the script and beyond the first 65536.</summary>
    public static bool HasBeyondBmp(Rune rune) => Array.Exists(s_beyond, range => rune.Value >= range.First && rune.Value <= range.Last);
}
