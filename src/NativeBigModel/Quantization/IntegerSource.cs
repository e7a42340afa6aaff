using System.Buffers.Binary;
using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Quantization;

/// <summary>Some rows of integers without sign, and what they stand for: scale * (code - zero) of their group.</summary>
/// <param name="Codes">[row * columns + column].</param>
/// <param name="Scales">[row * groups + group].</param>
/// <param name="Zeros">Likewise.</param>
/// <param name="GroupOf">The group of each column.</param>
internal sealed record IntegerRows(byte[] Codes, float[] Scales, short[] Zeros, int[] GroupOf);

/// <summary>A weight of integers with a scale and a zero point for each group of a row's elements.</summary>
/// <param name="parts">The tensors it is made of.</param>
/// <param name="rows">Outputs.</param>
/// <param name="columns">Inputs.</param>
/// <param name="bits">Bits of an integer: 4 or 8.</param>
/// <param name="wholeBlocks">Whether groups are runs of whole blocks of 32 elements, so that ggml's blocks can hold the same integers.</param>
internal abstract class IntegerSource(IReadOnlyList<StoredTensor> parts, long rows, long columns, int bits, bool wholeBlocks)
    : QuantizedSource(parts, rows, columns, KeptTypes.ForIntegers(bits, wholeBlocks))
{
    protected int Bits { get; } = bits;

    public override TensorSource As(TensorType type) => type == TensorType.Q4_1 && Bits == 4 && wholeBlocks && Columns % type.BlockSize() == 0 ? new IntegerBlocks(this) : this;

    /// <summary>Reads some rows.</summary>
    public abstract IntegerRows ReadIntegers(CheckpointFiles files, long firstRow, int rows);

    protected sealed override void Dequantize(CheckpointFiles files, long firstRow, int rows, Span<float> values)
    {
        IntegerRows read = ReadIntegers(files, firstRow, rows);
        int columns = read.GroupOf.Length, groups = read.Scales.Length / rows;
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                int group = row * groups + read.GroupOf[column];
                values[row * columns + column] = read.Scales[group] * (read.Codes[row * columns + column] - read.Zeros[group]);
            }
        }
    }

    /// <summary>The groups of a row that follow each other.</summary>
    protected int[] GroupsInOrder(long groupSize)
    {
        int[] groupOf = new int[Columns];
        for (int column = 0; column < groupOf.Length; column++) groupOf[column] = (int)(column / groupSize);
        return groupOf;
    }
}

/// <summary>
/// The same integers as ggml's blocks (ggml-common.h, block_q4_1): a scale, a minimum of -scale * zero, then 16 bytes that hold element i below and element i + 16
/// above. Nothing changes but the minimum, which is rounded to half precision.
/// </summary>
internal sealed class IntegerBlocks(IntegerSource inner) : TensorSource(TensorType.Q4_1, inner.Rows, inner.Columns)
{
    private const int Half = 16;

    public override IEnumerable<string> Files => inner.Files;

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int rows = checked((int)(destination.Length / RowBytes)), columns = (int)Columns, blocks = columns / (2 * Half), bytes = Type.BlockBytes();
        IntegerRows read = inner.ReadIntegers(files, firstRow, rows);
        int groups = read.Scales.Length / rows;
        for (int block = 0; block < rows * blocks; block++)
        {
            int row = block / blocks, first = block % blocks * 2 * Half, group = row * groups + read.GroupOf[first];
            ReadOnlySpan<byte> codes = read.Codes.AsSpan(row * columns + first, 2 * Half);
            Span<byte> to = destination.Slice(block * bytes, bytes);
            BinaryPrimitives.WriteHalfLittleEndian(to, (System.Half)read.Scales[group]);
            BinaryPrimitives.WriteHalfLittleEndian(to[2..], (System.Half)(-read.Scales[group] * read.Zeros[group]));
            for (int i = 0; i < Half; i++) to[4 + i] = (byte)(codes[i] | codes[i + Half] << 4);
        }
    }
}
