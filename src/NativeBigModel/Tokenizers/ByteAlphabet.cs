using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>GPT-2's alphabet: bytes that print stand for themselves, the others for U+0100 onwards (openai/gpt-2, encoder.py, bytes_to_unicode).</summary>
internal static class ByteAlphabet
{
    private const int Letters = 324; // 256 characters, of which 68 lie from U+0100 on

    private static readonly char[] s_ofByte = Build();
    private static readonly bool[] s_isLetter = Mark();
    private static readonly byte[] s_toByte = Invert();

    public static char OfByte(byte value) => s_ofByte[value];

    public static string Spell(string text)
    {
        byte[] utf8 = Encoding.UTF8.GetBytes(text);
        return string.Create(utf8.Length, utf8, static (letters, bytes) =>
        {
            for (int i = 0; i < bytes.Length; i++) letters[i] = OfByte(bytes[i]);
        });
    }

    /// <summary>The bytes that letters stand for; what is no letter stands for itself.</summary>
    public static byte[] Read(string text) => Spells(text) ? Array.ConvertAll(text.ToCharArray(), letter => s_toByte[letter]) : Encoding.UTF8.GetBytes(text);

    public static bool Spells(string text)
    {
        foreach (char letter in text)
        {
            if (letter >= Letters || !s_isLetter[letter]) return false;
        }
        return true;
    }

    private static char[] Build()
    {
        char[] letters = new char[256];
        char next = (char)256;
        for (int value = 0; value < 256; value++)
        {
            bool prints = value is (>= '!' and <= '~') or (>= 0xA1 and <= 0xAC) or (>= 0xAE and <= 0xFF);
            letters[value] = prints ? (char)value : next++;
        }
        return letters;
    }

    private static byte[] Invert()
    {
        byte[] bytes = new byte[Letters];
        for (int value = 0; value < 256; value++) bytes[s_ofByte[value]] = (byte)value;
        return bytes;
    }

    private static bool[] Mark()
    {
        bool[] marks = new bool[Letters];
        foreach (char letter in s_ofByte) marks[letter] = true;
        return marks;
    }
}
