using System.Text;

namespace NativeBigModel.Tokenizers;

/// <summary>Unicode normal forms, where the platform has them.</summary>
internal static class UnicodeNormalization
{
    // Without ICU .NET returns every text as it is.
    private static readonly bool s_works = "e\u0301".Normalize(NormalizationForm.FormC).Length == 1;

    /// <summary>The text in normal form C.</summary>
    public static string FormC(string text) => Form(text, NormalizationForm.FormC);

    /// <summary>The text in a normal form; half surrogate pairs, which have no UTF-8 either, become U+FFFD.</summary>
    /// <exception cref="EngineException">The platform cannot, and the text is not plain ASCII.</exception>
    public static string Form(string text, NormalizationForm form)
    {
        if (text.All(char.IsAscii)) return text;
        if (!s_works) throw new EngineException("this model's tokenizer normalises Unicode text, which needs ICU: install libicu and leave InvariantGlobalization off");
        return WellFormed(text).Normalize(form);
    }

    /// <summary>The text without half surrogate pairs.</summary>
    public static string WellFormed(string text) => text.Any(char.IsSurrogate) ? Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)) : text;
}
