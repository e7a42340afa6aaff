using System.Globalization;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Conversion;

/// <summary>A header's key set by hand. A key that is there keeps its type.</summary>
internal static class MetadataOverride
{
    /// <exception cref="InvalidOptionException">The text is not KEY=VALUE, the value is not of the key's type, or the key is not for anyone to set.</exception>
    public static void Apply(GgufMetadata metadata, string text)
    {
        int at = text.IndexOf('=', StringComparison.Ordinal);
        if (at < 1) throw new InvalidOptionException($"'{text}' is not KEY=VALUE, such as general.name=Mine");
        (string key, string value) = (text[..at], text[(at + 1)..]);
        if (key is "general.architecture" or "general.alignment" || key.StartsWith("split.", StringComparison.Ordinal)) throw new InvalidOptionException($"{key}: follows from the model and cannot be set");
        (string type, string plain) = value.Split(':', 2) is ["int" or "float" or "bool" or "str", _] typed ? (typed[0], typed[1]) : ("", value);
        object? old = metadata.Find(key);
        metadata[key] = (old is null ? New(type, plain) : type == "" || type == Kind(old) ? Like(old, plain) : null)
            ?? throw new InvalidOptionException($"{key}: '{value}' is not {(old is null ? "a value of that type" : $"of the key's type, {GgufTypes.Clr(old).Name}")}");
    }

    private static string Kind(object value) => value switch { bool => "bool", string => "str", float or double => "float", _ => "int" };

    private static object? Like(object old, string text)
    {
        if (old is string) return text;
        if (old is bool) return bool.TryParse(text, out bool flag) ? flag : null;
        if (old is Array or GgufTexts) return null;
        try
        {
            object value = Convert.ChangeType(text, old.GetType(), CultureInfo.InvariantCulture);
            return value is float.NaN or double.NaN ? null : value;
        }
        catch (Exception error) when (error is FormatException or OverflowException) { return null; }
    }

    private static object? New(string type, string text)
    {
        if (type is "int" or "")
        {
            if (uint.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out uint count)) return count;
            if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)) return number is >= int.MinValue and <= int.MaxValue ? (object)(int)number : number;
            if (type == "int") return null;
        }
        if (type is "float" or "" && float.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture, out float real) && float.IsFinite(real)) return real;
        if (type == "float") return null;
        if (type is "bool" or "" && bool.TryParse(text, out bool flag)) return flag;
        return type == "bool" ? null : text;
    }
}
