namespace NativeBigModel.Tokenizers;

/// <summary>GPT-2's alphabet: bytes that print stand for themselves, the others for U+0100 onwards (openai/gpt-2, encoder.py, bytes_to_unicode).</summary>
internal static class ByteAlphabet
{
    private const int Letters = 324; // 256 characters, of which 68 lie from U+0100 on

    private static readonly char[] s_ofByte = Build();
    private static readonly bool[] s_isLetter = Mark();

    public static char OfByte(byte value) => s_ofByte[value];

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

    private static bool[] Mark()
    {
        bool[] marks = new bool[Letters];
        foreach (char letter in s_ofByte) marks[letter] = true;
        return marks;
    }
}
