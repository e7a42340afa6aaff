using System.Globalization;
using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>BERT's own normalizer (huggingface/tokenizers, src/normalizers/bert.rs).</summary>
internal static class BertText
{
    /// <summary>What transformers makes of a vocab.txt whose settings say nothing.</summary>
    public const string DefaultNormalizer = """{"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true}""";

    public static Func<string, string> Normalizer(JsonField step)
    {
        bool clean = step.Find("clean_text")?.Flag() is not false, chinese = step.Find("handle_chinese_chars")?.Flag() is not false;
        bool lower = Lowers(step), strip = Strips(step);
        return text =>
        {
            string current = clean || chinese ? Clean(text, clean, chinese) : text;
            if (strip) current = DropMarks(UnicodeNormalization.Form(current, NormalizationForm.FormD));
            return lower ? LowerCase.Apply(current) : current;
        };
    }

    public static bool Lowers(JsonField step) => step.Find("lowercase")?.Flag() is not false;

    public static bool Strips(JsonField step) => step.Find("strip_accents")?.Flag() ?? Lowers(step);

    public static string DropMarks(string text)
    {
        StringBuilder kept = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (Rune.GetUnicodeCategory(rune) is not UnicodeCategory.NonSpacingMark) kept.Append(rune.ToString());
        }
        return kept.ToString();
    }

    /// <summary>Whether the character is a word of its own.</summary>
    public static bool IsPunctuation(Rune rune) => Rune.IsPunctuation(rune) || (rune.IsAscii && Rune.IsSymbol(rune));

    private static string Clean(string text, bool clean, bool chinese)
    {
        StringBuilder cleaned = new(text.Length);
        foreach (Rune rune in text.EnumerateRunes())
        {
            if (clean && IsDropped(rune)) continue;
            string letter = clean && Rune.IsWhiteSpace(rune) ? " " : rune.ToString();
            cleaned.Append(chinese && IsIdeograph(rune.Value) ? $" {letter} " : letter);
        }
        return cleaned.ToString();
    }

    private static bool IsDropped(Rune rune) => rune.Value is 0 or 0xFFFD ||
        (rune.Value is not ('\t' or '\n' or '\r') && Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.PrivateUse);

    // The blocks as the Rust code has them, 0x2B920 included.
    private static bool IsIdeograph(int c) => c is (>= 0x4E00 and <= 0x9FFF) or (>= 0x3400 and <= 0x4DBF) or (>= 0x20000 and <= 0x2A6DF) or (>= 0x2A700 and <= 0x2B73F)
        or (>= 0x2B740 and <= 0x2B81F) or (>= 0x2B920 and <= 0x2CEAF) or (>= 0xF900 and <= 0xFAFF) or (>= 0x2F800 and <= 0x2FA1F);
}
