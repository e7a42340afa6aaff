using System.Globalization;

namespace NativeBigModel.Planning;

/// <summary>Sizes as people write them.</summary>
public static class ByteSize
{
    private static readonly (string Suffix, long Bytes)[] s_units =
    [
        ("KiB", 1L << 10), ("MiB", 1L << 20), ("GiB", 1L << 30), ("TiB", 1L << 40),
        ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000), ("B", 1),
    ];

    /// <summary>Reads <c>10GiB</c> (binary), <c>10GB</c> (decimal), <c>1.5 GiB</c> or a plain number of bytes. Case does not matter, and a b is always a byte.</summary>
    /// <exception cref="InvalidOptionException">The text is not a size, is negative, or exceeds 2^63 - 1 bytes.</exception>
    public static long Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        string trimmed = text.Trim();
        (string suffix, long unit) = s_units.FirstOrDefault(candidate => trimmed.EndsWith(candidate.Suffix, StringComparison.OrdinalIgnoreCase), ("", 1));
        string number = trimmed[..^suffix.Length].TrimEnd();
        const NumberStyles styles = NumberStyles.AllowDecimalPoint;
        // A decimal is exact to the byte, and knows neither infinity nor NaN.
        if (!decimal.TryParse(number, styles, CultureInfo.InvariantCulture, out decimal value) || (suffix.Length == 0 && value != Math.Floor(value)))
            throw new InvalidOptionException($"'{text}' is not a size; write 10GiB, 10GB or a whole number of bytes");
        return value <= (decimal)long.MaxValue / unit ? (long)(value * unit) : throw new InvalidOptionException($"'{text}' is more than {long.MaxValue} bytes");
    }

    /// <summary>Writes a size with a binary unit and three figures: <c>1.46 GiB</c>.</summary>
    public static string Format(long bytes)
    {
        double value = bytes;
        string[] units = ["B", "KiB", "MiB", "GiB", "TiB"];
        int unit = 0;
        while (Math.Abs(value) >= 1000 && unit < units.Length - 1)
        {
            value /= 1024;
            unit++;
        }
        string format = unit == 0 ? "0" : Math.Abs(value) >= 100 ? "0" : Math.Abs(value) >= 10 ? "0.0" : "0.00";
        return $"{value.ToString(format, CultureInfo.InvariantCulture)} {units[unit]}";
    }
}
