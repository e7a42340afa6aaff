namespace NativeBigModel.Quantization;

/// <summary>
/// The ggml types that quantised weights have where no other is asked for: the smallest type that loses only a small part of what the format's own rounding lost before, a
/// normalised squared error under 1.5e-3 for 4-bit formats (whose own is about 6e-3) and under 1e-4 for 8-bit ones. A test measures it.
/// </summary>
internal static class KeptTypes
{
    /// <summary>For 8-bit floats and integers: 1e-5 to 3e-5.</summary>
    public const TensorType EightBits = TensorType.Q8_0;

    /// <summary>For 4-bit integers in groups of whole blocks, whose codes stay as they are: 1e-7, by the rounding of the minimum.</summary>
    public const TensorType FourBits = TensorType.Q4_1;

    /// <summary>For 4-bit integers in groups of any order, which ggml's blocks cannot hold: 1.4e-3.</summary>
    public const TensorType ScatteredFourBits = TensorType.Q5_0;

    /// <summary>For 4-bit codes of unevenly spaced numbers, as NF4 and FP4 are: 1.4e-3.</summary>
    public const TensorType FourBitCodes = TensorType.Q5_1;

    /// <summary>For integers with a scale for each group.</summary>
    public static TensorType ForIntegers(int bits, bool wholeBlocks) => bits == 8 ? EightBits : wholeBlocks ? FourBits : ScatteredFourBits;
}
