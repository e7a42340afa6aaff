using System.Runtime.InteropServices;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Conversion;

namespace NativeBigModel.Tests.Conversion;

/// <summary>Against conversions written out bit by bit: the value is exact, then rounded to nearest, ties to even.</summary>
public class FloatsTests
{
    private static readonly uint[] s_corners =
    [
        0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x3f800000, 0x3f808000, 0x3f818000, 0x3f807fff, 0x3f808001, 0x7f7fffff, 0xff7fffff, 0x7f7f8000, 0x7f7f7fff,
        0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffbfffff, 0x477fe000, 0x477fefff, 0x477ff000, 0x33000000, 0x33000001, 0x32ffffff, 0x387fc000, 0x387fe000, 0x38800000, 0x33800000, 0x33c00000,
    ];

    // All exponents alike, which a uniform choice of floats would not give, and a length that is no multiple of any vector's.
    private static readonly Arbitrary<uint[]> s_bits = Gen.ArrayOf(Gen.OneOf(
        from high in Gen.Choose(0, 0xffff)
        from low in Gen.Choose(0, 0xffff)
        select (uint)(high << 16 | low),
        Gen.Elements(s_corners),
        from exponent in Gen.Choose(100, 145)
        from mantissa in Gen.Choose(0, 0x7fffff)
        from sign in Gen.Choose(0, 1)
        select (uint)sign << 31 | (uint)exponent << 23 | (uint)mantissa)).ToArbitrary();

    [Fact]
    public void Narrowing_rounds_to_nearest_even_and_keeps_infinities_and_NaN() => Check.QuickThrowOnFailure(Prop.ForAll(s_bits, bits =>
    {
        foreach (TensorType type in (TensorType[])[TensorType.F16, TensorType.BF16])
        {
            ushort[] narrow = Narrow(bits, type);
            for (int i = 0; i < bits.Length; i++) RequireNearest(bits[i], narrow[i], type);
        }
    }));

    [Fact]
    public void Corners_of_every_type_round_as_IEEE_754_says()
    {
        foreach (TensorType type in (TensorType[])[TensorType.F16, TensorType.BF16])
        {
            ushort[] narrow = Narrow(s_corners, type);
            for (int i = 0; i < s_corners.Length; i++) RequireNearest(s_corners[i], narrow[i], type);
        }
        Assert.Equal([0x3c00, 0x0001, 0x0000, 0x7bff, 0x7c00], Narrow([0x3f800000, 0x33800000, 0x33000000, 0x477fefff, 0x477ff000], TensorType.F16));
        Assert.Equal([0x3f80, 0x3f80, 0x3f82, 0x3f81, 0x7f80], Narrow([0x3f800000, 0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff], TensorType.BF16));
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.BF16)]
    public void Every_sixteen_bit_pattern_widens_to_its_value_and_narrows_back(TensorType type)
    {
        ushort[] all = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
        var wide = new float[all.Length];
        Floats.Widen(MemoryMarshal.AsBytes(all.AsSpan()), type, wide);
        ushort[] back = Narrow([.. wide.Select(BitConverter.SingleToUInt32Bits)], type);
        for (int i = 0; i < all.Length; i++)
        {
            double value = Value(all[i], type);
            if (double.IsNaN(value))
            {
                Assert.True(float.IsNaN(wide[i]) && double.IsNaN(Value(back[i], type)));
                continue;
            }
            Assert.Equal(BitConverter.DoubleToInt64Bits(value), BitConverter.DoubleToInt64Bits(wide[i]));
            Assert.Equal(all[i], back[i]);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(65536f)]
    [InlineData(-1e30f)]
    public void What_F16_cannot_hold_is_refused_wherever_it_stands(float value)
    {
        for (int at = 0; at < 40; at++)
        {
            float[] row = new float[40];
            row[at] = value;
            var error = Assert.Throws<CheckpointException>(() => RowEncoder.Encode("blk.0.ffn_up.weight", MemoryMarshal.AsBytes(row.AsSpan()), TensorType.F32, new byte[80], TensorType.F16, 40));
            Assert.Contains("blk.0.ffn_up.weight", error.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.NegativeInfinity)]
    public void What_no_quantised_type_can_hold_is_refused(float value)
    {
        float[] row = new float[32];
        row[31] = value;
        Assert.Throws<CheckpointException>(() => RowEncoder.Encode("w", MemoryMarshal.AsBytes(row.AsSpan()), TensorType.F32, new byte[34], TensorType.Q8_0, 32));
    }

    private static ushort[] Narrow(uint[] bits, TensorType type)
    {
        var narrow = new ushort[bits.Length];
        Floats.Narrow(MemoryMarshal.Cast<uint, float>(bits), type, MemoryMarshal.AsBytes(narrow.AsSpan()));
        return narrow;
    }

    private static void RequireNearest(uint bits, ushort narrow, TensorType type)
    {
        double exact = BitConverter.UInt32BitsToSingle(bits), got = Value(narrow, type);
        string where = $"{bits:x8} -> {narrow:x4} as {type}";
        if (double.IsNaN(exact))
        {
            Assert.True(double.IsNaN(got), where);
            return;
        }
        Assert.True((narrow >> 15) == bits >> 31, where);
        ushort magnitude = (ushort)(narrow & 0x7fff);
        // The neighbours' distances decide; infinity counts as the next value that the exponent would give.
        double here = Distance(exact, Finite(magnitude, type)), below = magnitude == 0 ? double.PositiveInfinity : Distance(exact, Finite((ushort)(magnitude - 1), type));
        double above = double.IsInfinity(got) ? double.PositiveInfinity : Distance(exact, Finite((ushort)(magnitude + 1), type));
        if (double.IsInfinity(exact)) Assert.True(double.IsInfinity(got), where);
        else if (double.IsInfinity(got)) Assert.True(Math.Abs(exact) >= (Finite(magnitude, type) + Finite((ushort)(magnitude - 1), type)) / 2, where);
        else
        {
            bool even = (magnitude & 1) == 0;
            Assert.True(here < below || (here == below && even), where);
            Assert.True(here < above || (here == above && even), where);
        }
    }

    private static double Distance(double exact, double magnitude) => Math.Abs(Math.Abs(exact) - magnitude);

    private static double Finite(ushort magnitude, TensorType type) =>
        type == TensorType.F16
            ? (magnitude >> 10) == 0 ? (magnitude & 0x3ff) * Math.Pow(2, -24) : (1 + (magnitude & 0x3ff) / 1024.0) * Math.Pow(2, (magnitude >> 10) - 15)
            : (magnitude >> 7) == 0 ? (magnitude & 0x7f) * Math.Pow(2, -133) : (1 + (magnitude & 0x7f) / 128.0) * Math.Pow(2, (magnitude >> 7) - 127);

    private static double Value(ushort bits, TensorType type)
    {
        ushort magnitude = (ushort)(bits & 0x7fff), infinity = (ushort)(type == TensorType.F16 ? 0x7c00 : 0x7f80);
        double value = magnitude > infinity ? double.NaN : magnitude == infinity ? double.PositiveInfinity : Finite(magnitude, type);
        return (bits & 0x8000) != 0 ? -value : value;
    }
}
