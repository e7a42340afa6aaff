namespace NativeBigModel;

/// <summary>How a model's weights are stored: one type for all, or a named mixture in which llama.cpp gives sensitive tensors more bits.</summary>
public enum WeightType
{
    /// <summary>The checkpoint's own types.</summary>
    AsStored,
    /// <summary>32-bit float.</summary>
    F32,
    /// <summary>16-bit float.</summary>
    F16,
    /// <summary>16-bit brain float.</summary>
    BF16,
    /// <summary>8.5 bits a weight.</summary>
    Q8_0,
    /// <summary>6.6 bits a weight.</summary>
    Q6_K,
    /// <summary>5-bit k-quants, Q6_K for some.</summary>
    Q5_K_M,
    /// <summary>5-bit k-quants.</summary>
    Q5_K_S,
    /// <summary>5.5 bits a weight, plain blocks.</summary>
    Q5_0,
    /// <summary>6 bits a weight, plain blocks with a minimum.</summary>
    Q5_1,
    /// <summary>4-bit k-quants, Q6_K for some: the usual choice.</summary>
    Q4_K_M,
    /// <summary>4-bit k-quants, Q5_K for some.</summary>
    Q4_K_S,
    /// <summary>4.5 bits a weight, plain blocks.</summary>
    Q4_0,
    /// <summary>5 bits a weight, plain blocks with a minimum.</summary>
    Q4_1,
    /// <summary>3-bit k-quants, Q5_K for many.</summary>
    Q3_K_L,
    /// <summary>3-bit k-quants, Q4_K and Q5_K for some.</summary>
    Q3_K_M,
    /// <summary>3-bit k-quants.</summary>
    Q3_K_S,
    /// <summary>2-bit k-quants, Q3_K and Q4_K for many.</summary>
    Q2_K,
    /// <summary>2-bit k-quants; needs an <see cref="ImportanceMatrix"/>.</summary>
    Q2_K_S,
    /// <summary>4.25 bits a weight, non-linear.</summary>
    IQ4_XS,
    /// <summary>4.5 bits a weight, non-linear, blocks of 32.</summary>
    IQ4_NL,
    /// <summary>3.4-bit codebook, Q4_K for some.</summary>
    IQ3_M,
    /// <summary>3.4-bit codebook.</summary>
    IQ3_S,
    /// <summary>3.4-bit codebook, 3.06 bits for many; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ3_XS,
    /// <summary>3.06-bit codebook; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ3_XXS,
    /// <summary>2.5-bit codebook, IQ3_S for some; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ2_M,
    /// <summary>2.31-bit codebook, IQ3_S for some; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ2_S,
    /// <summary>2.31-bit codebook; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ2_XS,
    /// <summary>2.06-bit codebook; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ2_XXS,
    /// <summary>1.75-bit codebook; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ1_M,
    /// <summary>1.56-bit codebook; needs an <see cref="ImportanceMatrix"/>.</summary>
    IQ1_S,
    /// <summary>2.06 bits a weight, for models that were trained to three values.</summary>
    TQ2_0,
    /// <summary>1.69 bits a weight, for models that were trained to three values.</summary>
    TQ1_0,
    /// <summary>2.25 bits a weight, plain blocks.</summary>
    Q2_0,
    /// <summary>1.125 bits a weight: signs and a scale.</summary>
    Q1_0,
    /// <summary>Microscaling 4-bit floats for stacked experts, Q8_0 for the rest.</summary>
    MXFP4_MOE,
}

/// <summary>Names and numbers of <see cref="WeightType"/>s.</summary>
public static class WeightTypes
{
    /// <summary>Reads a name as people type it: <c>q4_k_m</c>, <c>Q8_0</c>, <c>bf16</c>.</summary>
    /// <exception cref="InvalidOptionException">No such type; the message lists them.</exception>
    public static WeightType Parse(string name) =>
        Enum.GetValues<WeightType>().Where(type => type != WeightType.AsStored && string.Equals(type.ToString(), name, StringComparison.OrdinalIgnoreCase)).Cast<WeightType?>().FirstOrDefault()
            ?? throw new InvalidOptionException($"'{name}' is not a weight type; there are {string.Join(", ", Enum.GetNames<WeightType>().Skip(1))}");

    /// <summary>The 16-bit float that loses least of a checkpoint: F16 where most of its bytes are that, BF16 elsewhere.</summary>
    public static WeightType HalfOf(Checkpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        long half = checkpoint.StoredTensors.Where(tensor => tensor.DataType == "F16").Sum(tensor => tensor.Bytes);
        return 2 * half > checkpoint.StoredTensors.Sum(tensor => tensor.Bytes) ? WeightType.F16 : WeightType.BF16;
    }

    /// <summary>The type that most tensors of the mixture get; null for <see cref="WeightType.AsStored"/>.</summary>
    internal static TensorType? BaseType(this WeightType type) => type switch
    {
        WeightType.AsStored => null,
        WeightType.F32 => TensorType.F32,
        WeightType.F16 => TensorType.F16,
        WeightType.BF16 => TensorType.BF16,
        WeightType.Q8_0 => TensorType.Q8_0,
        WeightType.Q6_K => TensorType.Q6_K,
        WeightType.Q5_K_M or WeightType.Q5_K_S => TensorType.Q5_K,
        WeightType.Q5_0 => TensorType.Q5_0,
        WeightType.Q5_1 => TensorType.Q5_1,
        WeightType.Q4_K_M or WeightType.Q4_K_S => TensorType.Q4_K,
        WeightType.Q4_0 => TensorType.Q4_0,
        WeightType.Q4_1 => TensorType.Q4_1,
        WeightType.Q3_K_L or WeightType.Q3_K_M or WeightType.Q3_K_S => TensorType.Q3_K,
        WeightType.Q2_K or WeightType.Q2_K_S => TensorType.Q2_K,
        WeightType.IQ4_XS => TensorType.IQ4_XS,
        WeightType.IQ4_NL => TensorType.IQ4_NL,
        WeightType.IQ3_M or WeightType.IQ3_S or WeightType.IQ3_XS => TensorType.IQ3_S,
        WeightType.IQ3_XXS => TensorType.IQ3_XXS,
        WeightType.IQ2_M => TensorType.IQ2_S,
        WeightType.IQ2_S or WeightType.IQ2_XS => TensorType.IQ2_XS,
        WeightType.IQ2_XXS => TensorType.IQ2_XXS,
        WeightType.IQ1_M => TensorType.IQ1_M,
        WeightType.IQ1_S => TensorType.IQ1_S,
        WeightType.TQ2_0 => TensorType.TQ2_0,
        WeightType.TQ1_0 => TensorType.TQ1_0,
        WeightType.Q2_0 => TensorType.Q2_0,
        WeightType.Q1_0 => TensorType.Q1_0,
        WeightType.MXFP4_MOE => TensorType.MXFP4,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };

    /// <summary>The value of <c>general.file_type</c> (llama.h, enum llama_ftype).</summary>
    internal static uint FileType(this WeightType type) => type switch
    {
        WeightType.F32 => 0,
        WeightType.F16 => 1,
        WeightType.Q4_0 => 2,
        WeightType.Q4_1 => 3,
        WeightType.Q8_0 => 7,
        WeightType.Q5_0 => 8,
        WeightType.Q5_1 => 9,
        WeightType.Q2_K => 10,
        WeightType.Q3_K_S => 11,
        WeightType.Q3_K_M => 12,
        WeightType.Q3_K_L => 13,
        WeightType.Q4_K_S => 14,
        WeightType.Q4_K_M => 15,
        WeightType.Q5_K_S => 16,
        WeightType.Q5_K_M => 17,
        WeightType.Q6_K => 18,
        WeightType.IQ2_XXS => 19,
        WeightType.IQ2_XS => 20,
        WeightType.Q2_K_S => 21,
        WeightType.IQ3_XS => 22,
        WeightType.IQ3_XXS => 23,
        WeightType.IQ1_S => 24,
        WeightType.IQ4_NL => 25,
        WeightType.IQ3_S => 26,
        WeightType.IQ3_M => 27,
        WeightType.IQ2_S => 28,
        WeightType.IQ2_M => 29,
        WeightType.IQ4_XS => 30,
        WeightType.IQ1_M => 31,
        WeightType.BF16 => 32,
        WeightType.TQ1_0 => 36,
        WeightType.TQ2_0 => 37,
        WeightType.MXFP4_MOE => 38,
        WeightType.Q1_0 => 40,
        WeightType.Q2_0 => 41,
        _ => throw new ArgumentOutOfRangeException(nameof(type), type, null),
    };

    /// <summary>The value of <c>general.file_type</c> for a model whose tensors keep types of their own: that of the type which holds most elements.</summary>
    internal static uint FileTypeOf(IEnumerable<TensorSpec> tensors)
    {
        TensorType most = tensors.GroupBy(tensor => tensor.Type, tensor => tensor.Elements).MaxBy(group => group.Sum())!.Key;
        return Enum.GetValues<WeightType>().First(type => type.BaseType() == most).FileType();
    }
}
