using System.Globalization;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>An element type by PyTorch's name, as accelerate prices it.</summary>
/// <param name="Name">For example <c>float16</c>, <c>int64</c>, <c>bool</c>.</param>
internal sealed record TorchType(string Name)
{
    public static readonly TorchType Float32 = new("float32");

    /// <summary>Whether loading in another type leaves it as it is.</summary>
    public bool KeepsItsType => Name.StartsWith("int", StringComparison.Ordinal) || Name.StartsWith("uint", StringComparison.Ordinal) || Name == "bool";

    /// <summary>Bits of one element: 1 for bool, and else the number that the name's first word ends with (float8_e4m3fn has 8).</summary>
    /// <exception cref="InvalidOptionException">The name tells no size.</exception>
    public int Bits
    {
        get
        {
            if (Name == "bool") return 1;
            string word = Name.Split('_')[0];
            string digits = word[word.TrimEnd("0123456789".ToCharArray()).Length..];
            return digits.Length < word.Length && int.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out int bits) && bits > 0
                ? bits
                : throw new InvalidOptionException($"dtype '{Name}': the name of a type ends with its bits, such as float16 or int8");
        }
    }
}
