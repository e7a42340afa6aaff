using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tensors;

/// <summary>Rows of a matrix that a file holds column by column. Only the part of each column that the rows need is read.</summary>
internal sealed class ColumnMajorSource(StoredTensor tensor, TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
{
    // Every read goes through all columns.
    public override long RowsTogether => 128;

    public override IEnumerable<string> Files => [tensor.File];

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int size = Type.BlockBytes(), rowBytes = checked((int)RowBytes), count = destination.Length / rowBytes;
        byte[] part = new byte[count * size];
        for (int column = 0; column < Columns; column++)
        {
            files.Read(tensor.File, tensor.Offset + (column * Rows + firstRow) * size, part);
            for (int row = 0; row < count; row++) part.AsSpan(row * size, size).CopyTo(destination[(row * rowBytes + column * size)..]);
        }
    }
}
