using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>Lower case, character by character and in no one's language.</summary>
internal static class LowerCase
{
    public static string Apply(string text)
    {
        StringBuilder lower = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            // The one character whose lower case is two: I with a dot.
            if (rune.Value == 0x130) lower.Append("i\u0307");
            else lower.Append(Rune.ToLowerInvariant(rune).ToString());
        }
        return lower.ToString();
    }
}
