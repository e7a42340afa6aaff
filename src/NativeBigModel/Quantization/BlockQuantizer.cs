using System.Buffers.Binary;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace NativeBigModel.Quantization;

/// <summary>
/// Makes blocks of the types that files mostly have, several times as fast as ggml, and the same ones. What it leaves to ggml are blocks of which ggml keeps what its search
/// met on the way: those whose scales vanish in half precision.
/// </summary>
internal static class BlockQuantizer
{
    private const int SuperBlock = 256, Block = 32;

    /// <summary>Makes one block.</summary>
    /// <returns>Whether it could.</returns>
    private delegate bool Make(ReadOnlySpan<float> values, Span<byte> block);

    /// <summary>Makes blocks of whole rows by another way.</summary>
    public delegate void Fallback(ReadOnlySpan<float> values, Span<byte> blocks);

    /// <summary>Whether blocks of the type are made here.</summary>
    public static bool Makes(TensorType type) => Vector256.IsHardwareAccelerated && Maker(type) is not null;

    /// <summary>Quantises finite floats.</summary>
    /// <param name="type">One that <see cref="Makes"/>.</param>
    /// <param name="values">Whole blocks.</param>
    /// <param name="destination">Exactly the bytes that they take.</param>
    /// <param name="fallback">Makes the blocks that are not made here.</param>
    public static void Quantize(TensorType type, ReadOnlySpan<float> values, Span<byte> destination, Fallback fallback)
    {
        Make make = Maker(type) ?? throw new ArgumentOutOfRangeException(nameof(type), type, null);
        int elements = type.BlockSize(), bytes = type.BlockBytes();
        for (; !values.IsEmpty; values = values[elements..], destination = destination[bytes..])
        {
            if (!make(values[..elements], destination[..bytes])) fallback(values[..elements], destination[..bytes]);
        }
    }

    private static Make? Maker(TensorType type) => type switch
    {
        TensorType.Q8_0 => Q8,
        TensorType.Q4_K => Q4K,
        TensorType.Q5_K => Q5K,
        TensorType.Q6_K => Q6K,
        _ => null,
    };

    // A half, 32 signed bytes.
    private static bool Q8(ReadOnlySpan<float> values, Span<byte> block)
    {
        Vector256<float> largest = default;
        for (int i = 0; i < Block; i += 8) largest = Vector256.Max(largest, Vector256.Abs(Load(values, i)));
        Vector128<float> four = Vector128.Max(largest.GetLower(), largest.GetUpper());
        float most = Math.Max(Math.Max(four[0], four[1]), Math.Max(four[2], four[3]));
        float scale = most / 127, inverse = scale != 0 ? 1 / scale : 0;
        if (!float.IsFinite(inverse)) return false;
        BinaryPrimitives.WriteHalfLittleEndian(block, (Half)scale);
        Span<byte> levels = block[2..];
        for (int i = 0; i < Block; i += 8)
        {
            // Halves go away from zero: so much is added that only what is a half at least comes to the next integer.
            Vector256<float> value = Load(values, i) * inverse;
            Vector256<float> half = Vector256.Create(0.49999997f) | (value & Vector256.Create(-0f));
            Store(Vector256.ConvertToInt32(value + half), levels[i..]);
        }
        return true;
    }

    // Two halves, eight scales and minima of 6 bits, 32 pairs of 4 bits four times.
    private static bool Q4K(ReadOnlySpan<float> values, Span<byte> block)
    {
        Span<byte> levels = stackalloc byte[SuperBlock];
        if (!WithMinimum(values, block, levels, 15, -1, 20)) return false;
        Pairs(levels, block[16..]);
        return true;
    }

    // The same, with the levels' fifth bits before the pairs.
    private static bool Q5K(ReadOnlySpan<float> values, Span<byte> block)
    {
        Span<byte> levels = stackalloc byte[SuperBlock], high = block.Slice(16, Block);
        if (!WithMinimum(values, block, levels, 31, -0.5f, 15)) return false;
        high.Clear();
        for (int i = 0; i < SuperBlock; i++) high[i % Block] |= (byte)(levels[i] >> 4 << i / Block);
        Pairs(levels, block[48..]);
        return true;
    }

    private static bool WithMinimum(ReadOnlySpan<float> values, Span<byte> block, Span<byte> levels, int most, float first, int steps)
    {
        Vector256<float> scales = GroupFit.WithMinimum(SideBySide(values, stackalloc Vector256<float>[Block], Block), most, first, steps, out Vector256<float> minima);
        float maxScale = 0, maxMinimum = 0;
        for (int group = 0; group < GroupFit.Lanes; group++)
        {
            if (scales[group] > maxScale) maxScale = scales[group];
            if (minima[group] > maxMinimum) maxMinimum = minima[group];
        }
        Half scale = (Half)(maxScale / 63), minimum = (Half)(maxMinimum / 63);
        float inverse = maxScale > 0 ? 63 / maxScale : 0, inverseMinimum = maxMinimum > 0 ? 63 / maxMinimum : 0;
        BinaryPrimitives.WriteHalfLittleEndian(block, scale);
        BinaryPrimitives.WriteHalfLittleEndian(block[2..], minimum);
        Span<byte> packed = block.Slice(4, 12);
        packed.Clear();
        for (int group = 0; group < GroupFit.Lanes; group++)
        {
            byte groupScale = Math.Min((byte)63, (byte)GroupFit.Nearest(inverse * scales[group])), groupMinimum = Math.Min((byte)63, (byte)GroupFit.Nearest(inverseMinimum * minima[group]));
            if (group < 4)
            {
                packed[group] = groupScale;
                packed[group + 4] = groupMinimum;
            }
            else
            {
                packed[group + 4] = (byte)(groupScale & 15 | (groupMinimum & 15) << 4);
                packed[group - 4] |= (byte)(groupScale >> 4 << 6);
                packed[group] |= (byte)(groupMinimum >> 4 << 6);
            }
            Span<byte> own = levels.Slice(group * Block, Block);
            float step = (float)scale * groupScale, below = (float)minimum * groupMinimum;
            if (step == 0)
            {
                ReadOnlySpan<float> all = values.Slice(group * Block, Block);
                if (all[0] > 0 || all.ContainsAnyExcept(all[0])) return false;
                own.Clear();
                continue;
            }
            for (int i = 0; i < Block; i += 8) Store(GroupFit.Nearest((Load(values, group * Block + i) + Vector256.Create(below)) / step, 0, most), own[i..]);
        }
        return true;
    }

    // Groups 0 and 1, 2 and 3 and so on share bytes.
    private static void Pairs(ReadOnlySpan<byte> levels, Span<byte> pairs)
    {
        for (int i = 0; i < SuperBlock; i += 2 * Block)
        {
            Vector256<byte> low = Vector256.Create(levels.Slice(i, Block)), high = Vector256.Create(levels.Slice(i + Block, Block));
            (low & Vector256.Create((byte)15) | (high & Vector256.Create((byte)15)) << 4).CopyTo(pairs[(i / 2)..]);
        }
    }

    // 256 low halves of levels, 256 pairs of high bits, 16 signed bytes of scales, a half.
    private static bool Q6K(ReadOnlySpan<float> values, Span<byte> block)
    {
        const int group = 16, groups = SuperBlock / group;
        Span<float> scales = stackalloc float[groups];
        Span<Vector256<float>> lanes = stackalloc Vector256<float>[group];
        GroupFit.Symmetric(SideBySide(values, lanes, group), 32).CopyTo(scales);
        GroupFit.Symmetric(SideBySide(values[(SuperBlock / 2)..], lanes, group), 32).CopyTo(scales[GroupFit.Lanes..]);
        float maxScale = 0, largest = 0;
        foreach (float one in scales)
        {
            if (MathF.Abs(one) > largest) (largest, maxScale) = (MathF.Abs(one), one);
        }
        block.Clear();
        if (largest < GroupFit.Nothing) return true;
        float inverse = -128 / maxScale;
        var scale = (Half)(1 / inverse);
        BinaryPrimitives.WriteHalfLittleEndian(block[208..], scale);
        Span<byte> levels = stackalloc byte[SuperBlock];
        for (int i = 0; i < groups; i++)
        {
            var own = (sbyte)Math.Min(127, GroupFit.Nearest(inverse * scales[i]));
            block[192 + i] = (byte)own;
            float step = (float)scale * own;
            if (step == 0)
            {
                if (TensorPrimitives.MaxMagnitude(values.Slice(i * group, group)) is var size && MathF.Abs(size) >= GroupFit.Nothing) return false;
                levels.Slice(i * group, group).Clear();
                continue;
            }
            for (int j = i * group; j < (i + 1) * group; j += 8) Store(GroupFit.Nearest(Load(values, j) / step, -32, 31) + Vector256.Create(32), levels[j..]);
        }
        for (int half = 0; half < 2; half++)
        {
            Span<byte> four = levels.Slice(half * 128, 128), low = block.Slice(half * 64, 64), high = block.Slice(128 + half * 32, 32);
            Vector256<byte> nibble = Vector256.Create((byte)15);
            Vector256<byte> q1 = Vector256.Create(four[..32]), q2 = Vector256.Create(four[32..64]), q3 = Vector256.Create(four[64..96]), q4 = Vector256.Create(four[96..]);
            (q1 & nibble | (q3 & nibble) << 4).CopyTo(low);
            (q2 & nibble | (q4 & nibble) << 4).CopyTo(low[32..]);
            (q1 >> 4 | q2 >> 4 << 2 | q3 >> 4 << 4 | q4 >> 4 << 6).CopyTo(high);
        }
        return true;
    }

    // Element i of group j, of eight groups, into lane j of vector i.
    private static Span<Vector256<float>> SideBySide(ReadOnlySpan<float> values, Span<Vector256<float>> lanes, int length)
    {
        Span<float> flat = MemoryMarshal.Cast<Vector256<float>, float>(lanes);
        for (int group = 0; group < GroupFit.Lanes; group++)
        {
            ReadOnlySpan<float> own = values.Slice(group * length, length);
            for (int i = 0; i < own.Length; i++) flat[i * GroupFit.Lanes + group] = own[i];
        }
        return lanes[..length];
    }

    private static Vector256<float> Load(ReadOnlySpan<float> values, int at) => Vector256.Create(values.Slice(at, 8));

    private static void Store(Vector256<int> levels, Span<byte> destination)
    {
        Vector128<short> words = Vector128.Narrow(levels.GetLower(), levels.GetUpper());
        BinaryPrimitives.WriteUInt64LittleEndian(destination, Vector128.Narrow(words, words).AsUInt64()[0]);
    }
}
