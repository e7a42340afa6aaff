using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Bench.Models;

/// <summary>Blocks of random weights, valid in their type: finite, centred, of a given deviation.</summary>
internal static class RandomWeights
{
    private const int Elements = 16 << 20;

    // Deviations of what the bits of a block spell before its scale: uniform nibbles and bytes; for k-quants times the scales inside, less the offsets.
    private const float Nibble = 4.6f, Byte = 74, FourBitTimesScale = 256, SixBitTimesScale = 1360;

    /// <summary>Sixteen million weights of a type.</summary>
    /// <exception cref="NotSupportedException">The type is none of those that synthetic models have.</exception>
    public static byte[] Block(TensorType type, float deviation)
    {
        var random = new Random(20260101);
        var block = new byte[type.RowBytes(Elements)];
        switch (type)
        {
            case TensorType.F32: Fill(MemoryMarshal.Cast<byte, float>(block.AsSpan()), random, value => value * deviation); break;
            case TensorType.F16: Fill(MemoryMarshal.Cast<byte, Half>(block.AsSpan()), random, value => (Half)(value * deviation)); break;
            case TensorType.BF16: Fill(MemoryMarshal.Cast<byte, ushort>(block.AsSpan()), random, value => (ushort)(BitConverter.SingleToUInt32Bits(value * deviation) >> 16)); break;
            // Where ggml-common.h has a block's scales.
            case TensorType.Q8_0: FillBlocks(block, random, 34, (0, deviation / Byte)); break;
            case TensorType.Q4_0: FillBlocks(block, random, 18, (0, deviation / Nibble)); break;
            case TensorType.Q4_K: FillBlocks(block, random, 144, (0, deviation / FourBitTimesScale), (2, deviation / FourBitTimesScale * 7.5f)); break;
            case TensorType.Q6_K: FillBlocks(block, random, 210, (208, deviation / SixBitTimesScale)); break;
            default: throw new NotSupportedException($"{type}: no synthetic model has such weights");
        }
        return block;
    }

    private static void Fill<T>(Span<T> values, Random random, Func<float, T> convert)
    {
        for (int i = 0; i + 1 < values.Length; i += 2)
        {
            float radius = MathF.Sqrt(-2 * MathF.Log(1 - random.NextSingle())), angle = 2 * MathF.PI * random.NextSingle();
            values[i] = convert(radius * MathF.Cos(angle));
            values[i + 1] = convert(radius * MathF.Sin(angle));
        }
    }

    // A block's scale is as often negative: what its bits spell is -8 to 7, or -128 to 127, and weights whose mean is not 0 make all tokens alike.
    private static void FillBlocks(byte[] block, Random random, int bytes, params ReadOnlySpan<(int At, float Scale)> scales)
    {
        random.NextBytes(block);
        for (int first = 0; first < block.Length; first += bytes)
        {
            int sign = random.Next(2) * 2 - 1;
            foreach ((int at, float scale) in scales) BitConverter.TryWriteBytes(block.AsSpan(first + at), (Half)(sign * scale));
        }
    }
}

/// <summary>Rows out of one block of weights, again and again, each tensor beginning elsewhere.</summary>
internal sealed class RepeatedSource(TensorType type, long rows, long columns, byte[] block, int number) : TensorSource(type, rows, columns)
{
    private readonly long _start = BlockPlace.Of(number, type, block);

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) => BlockPlace.Copy(block, _start + firstRow * RowBytes, destination);
}

/// <summary>Rows of numbers: the same number is the same row, up to the deviation of the block that it is out of, and no other is like it, up to 65536 of them.</summary>
internal sealed class NumberedRows(TensorType type, long rows, long columns, byte[] block, RowMap number) : TensorSource(type, rows, columns)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        for (int rowBytes = (int)RowBytes; destination.Length > 0; destination = destination[rowBytes..])
            BlockPlace.Copy(block, BlockPlace.Of(number(firstRow++), Type, block), destination[..rowBytes]);
    }
}

/// <summary>Places in a block of weights that goes on at its beginning.</summary>
internal static class BlockPlace
{
    private const long Shift = 7919 * 256; // elements: whole blocks of every type

    /// <summary>The byte at which something of this number begins.</summary>
    public static long Of(long number, TensorType type, byte[] block) => type.RowBytes(number * Shift) % block.Length;

    /// <summary>Copies what begins at a byte.</summary>
    public static void Copy(byte[] block, long start, Span<byte> destination)
    {
        int from = (int)(start % block.Length);
        while (destination.Length > 0)
        {
            int count = Math.Min(destination.Length, block.Length - from);
            block.AsSpan(from, count).CopyTo(destination);
            destination = destination[count..];
            from = 0;
        }
    }
}
