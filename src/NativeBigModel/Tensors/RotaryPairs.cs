using System.Buffers;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tensors;

/// <summary>
/// Reorders the rows of a query or key projection from Hugging Face's rotary layout to llama.cpp's "norm" one. Within each head of d rows,
/// Hugging Face rotates row i with row i + d/2 and llama.cpp row 2i with row 2i + 1, so row 2i + j comes from row j*d/2 + i.
/// </summary>
internal sealed class RotaryPairs(TensorSource inner, int headRows) : TensorSource(inner.Type, inner.Rows, inner.Columns)
{
    public override TensorType StoredType => inner.StoredType;

    public override IEnumerable<string> Files => inner.Files;

    public override TensorSource As(TensorType type) => inner.As(type) is var same && same == inner ? this : new RotaryPairs(same, headRows);

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int rowBytes = checked((int)RowBytes);
        long rows = destination.Length / rowBytes;
        long firstHead = firstRow / headRows, lastHead = (firstRow + rows - 1) / headRows;
        int bytes = checked((int)((lastHead - firstHead + 1) * headRows * rowBytes));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Span<byte> heads = buffer.AsSpan(0, bytes);
            inner.Read(files, firstHead * headRows, heads);
            for (int row = 0; row < rows; row++)
            {
                (long head, long within) = Math.DivRem(firstRow + row, headRows);
                long from = (head - firstHead) * headRows + within % 2 * (headRows / 2) + within / 2;
                heads.Slice(checked((int)(from * rowBytes)), rowBytes).CopyTo(destination[(row * rowBytes)..]);
            }
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }
}
