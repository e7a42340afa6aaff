namespace NativeBigModel;

/// <summary>Element types of tensors, with ggml's own numbers (ggml.h, enum ggml_type).</summary>
public enum TensorType
{
    /// <summary>32-bit IEEE float.</summary>
    F32 = 0,
    /// <summary>16-bit IEEE float.</summary>
    F16 = 1,
    /// <summary>4-bit, blocks of 32, one scale.</summary>
    Q4_0 = 2,
    /// <summary>4-bit, blocks of 32, scale and minimum.</summary>
    Q4_1 = 3,
    /// <summary>5-bit, blocks of 32, one scale.</summary>
    Q5_0 = 6,
    /// <summary>5-bit, blocks of 32, scale and minimum.</summary>
    Q5_1 = 7,
    /// <summary>8-bit, blocks of 32, one scale.</summary>
    Q8_0 = 8,
    /// <summary>8-bit, blocks of 32, scale and sum; only inside the engine.</summary>
    Q8_1 = 9,
    /// <summary>2-bit k-quant, blocks of 256.</summary>
    Q2_K = 10,
    /// <summary>3-bit k-quant, blocks of 256.</summary>
    Q3_K = 11,
    /// <summary>4-bit k-quant, blocks of 256.</summary>
    Q4_K = 12,
    /// <summary>5-bit k-quant, blocks of 256.</summary>
    Q5_K = 13,
    /// <summary>6-bit k-quant, blocks of 256.</summary>
    Q6_K = 14,
    /// <summary>8-bit k-quant, blocks of 256; only inside the engine.</summary>
    Q8_K = 15,
    /// <summary>2.06 bits an element.</summary>
    IQ2_XXS = 16,
    /// <summary>2.31 bits an element.</summary>
    IQ2_XS = 17,
    /// <summary>3.06 bits an element.</summary>
    IQ3_XXS = 18,
    /// <summary>1.56 bits an element.</summary>
    IQ1_S = 19,
    /// <summary>4.5 bits an element, non-linear.</summary>
    IQ4_NL = 20,
    /// <summary>3.44 bits an element.</summary>
    IQ3_S = 21,
    /// <summary>2.5 bits an element.</summary>
    IQ2_S = 22,
    /// <summary>4.25 bits an element, non-linear.</summary>
    IQ4_XS = 23,
    /// <summary>8-bit integer.</summary>
    I8 = 24,
    /// <summary>16-bit integer.</summary>
    I16 = 25,
    /// <summary>32-bit integer.</summary>
    I32 = 26,
    /// <summary>64-bit integer.</summary>
    I64 = 27,
    /// <summary>64-bit IEEE float.</summary>
    F64 = 28,
    /// <summary>1.75 bits an element.</summary>
    IQ1_M = 29,
    /// <summary>16-bit brain float: the upper half of an F32.</summary>
    BF16 = 30,
    /// <summary>Ternary, 1.69 bits an element.</summary>
    TQ1_0 = 34,
    /// <summary>Ternary, 2.06 bits an element.</summary>
    TQ2_0 = 35,
    /// <summary>Microscaling 4-bit float, blocks of 32 with a shared exponent.</summary>
    MXFP4 = 39,
    /// <summary>Signs alone, blocks of 128, one scale.</summary>
    Q1_0 = 41,
    /// <summary>2-bit, blocks of 64, one scale.</summary>
    Q2_0 = 42,
}

/// <summary>Sizes of <see cref="TensorType"/>s. The figures are ggml's (ggml-common.h); a test compares them with the engine's own.</summary>
public static class TensorTypes
{
    private readonly record struct Layout(int Block, int Bytes);

    /// <summary>Whether this library knows the size of <paramref name="type"/>.</summary>
    public static bool IsKnown(TensorType type) => Find(type).Block != 0;

    /// <summary>Elements in one block: 1, 32, 64, 128 or 256. A row's length must be a multiple of it.</summary>
    public static int BlockSize(this TensorType type) => Find(type).Block;

    /// <summary>Bytes of one block.</summary>
    public static int BlockBytes(this TensorType type) => Find(type).Bytes;

    /// <summary>Bytes of one row of <paramref name="columns"/> elements.</summary>
    public static long RowBytes(this TensorType type, long columns)
    {
        Layout layout = Find(type);
        return checked(columns / layout.Block * layout.Bytes);
    }

    /// <summary>Whether elements share blocks, so that a row cannot be cut between any two of them.</summary>
    public static bool IsQuantized(this TensorType type) => Find(type).Block > 1;

    /// <summary>Whether the quantiser makes the type of use only where it knows which columns matter (llama-quant.cpp, tensor_requires_imatrix; ggml asserts it of some).</summary>
    internal static bool NeedsImportance(this TensorType type) =>
        type is TensorType.IQ3_XXS or TensorType.IQ2_XXS or TensorType.IQ2_XS or TensorType.IQ2_S or TensorType.IQ1_M or TensorType.IQ1_S;

    private static Layout Find(TensorType type) => type switch
    {
        TensorType.F32 or TensorType.I32 => new(1, 4),
        TensorType.F16 or TensorType.BF16 or TensorType.I16 => new(1, 2),
        TensorType.F64 or TensorType.I64 => new(1, 8),
        TensorType.I8 => new(1, 1),
        TensorType.Q4_0 or TensorType.IQ4_NL => new(32, 18),
        TensorType.Q4_1 => new(32, 20),
        TensorType.Q5_0 => new(32, 22),
        TensorType.Q5_1 => new(32, 24),
        TensorType.Q8_0 => new(32, 34),
        TensorType.Q8_1 => new(32, 36),
        TensorType.MXFP4 => new(32, 17),
        TensorType.Q2_K => new(256, 84),
        TensorType.Q3_K => new(256, 110),
        TensorType.Q4_K => new(256, 144),
        TensorType.Q5_K => new(256, 176),
        TensorType.Q6_K => new(256, 210),
        TensorType.Q8_K => new(256, 292),
        TensorType.IQ2_XXS => new(256, 66),
        TensorType.IQ2_XS => new(256, 74),
        TensorType.IQ3_XXS => new(256, 98),
        TensorType.IQ1_S => new(256, 50),
        TensorType.IQ3_S => new(256, 110),
        TensorType.IQ2_S => new(256, 82),
        TensorType.IQ4_XS => new(256, 136),
        TensorType.IQ1_M => new(256, 56),
        TensorType.TQ1_0 => new(256, 54),
        TensorType.TQ2_0 => new(256, 66),
        TensorType.Q1_0 => new(128, 18),
        TensorType.Q2_0 => new(64, 18),
        _ => default,
    };
}
