namespace NativeBigModel.Quantization;

/// <summary>The numbers that 8-bit elements stand for (OCP 8-bit floating point specification, 5.3; E4M3 has no infinities).</summary>
internal static class ByteValues
{
    private static readonly float[] s_e4m3 = [.. Enumerable.Range(0, 256).Select(code => E4M3((byte)code))];
    private static readonly float[] s_e5m2 = [.. Enumerable.Range(0, 256).Select(code => (float)BitConverter.UInt16BitsToHalf((ushort)(code << 8)))];
    private static readonly float[] s_int8 = [.. Enumerable.Range(0, 256).Select(code => (float)(sbyte)code)];

    /// <summary>The number for each byte, or null for element types of another kind.</summary>
    public static float[]? Table(string dataType) => dataType switch
    {
        "F8_E4M3" => s_e4m3,
        "F8_E5M2" => s_e5m2,
        "I8" => s_int8,
        _ => null,
    };

    private static float E4M3(byte code)
    {
        int exponent = code >> 3 & 15, mantissa = code & 7;
        if (exponent == 15 && mantissa == 7) return float.NaN;
        float magnitude = exponent == 0 ? MathF.ScaleB(mantissa, -9) : MathF.ScaleB(8 + mantissa, exponent - 10);
        return (code & 0x80) != 0 ? -magnitude : magnitude;
    }
}
