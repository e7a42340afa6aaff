using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Conversion;

namespace NativeBigModel.Tensors;

/// <summary>A matrix plus the scaled product of two narrow ones, in F32, as the rows are read.</summary>
/// <param name="inner">The matrix.</param>
/// <param name="down">rank x columns, or rank x rows where <paramref name="turned"/>.</param>
/// <param name="up">rows x rank, or columns x rank where <paramref name="turned"/>.</param>
/// <param name="rank">Their common extent.</param>
/// <param name="scale">What the product is multiplied by.</param>
/// <param name="turned">Whether the transpose of the product is added.</param>
internal sealed class LowRankSource(TensorSource inner, StoredTensor down, StoredTensor up, int rank, float scale, bool turned) : DerivedSource(inner, TensorType.F32, inner.Rows, inner.Columns)
{
    // The two are small, and every row needs one of them whole.
    private readonly Lazy<(float[] Left, float[] Right)> _factors = new(() =>
        turned ? (Transposed(Values(down), rank), Transposed(Values(up), checked((int)inner.Columns))) : (Values(up), Values(down)));

    public override long RowsTogether => Inner.RowsTogether;

    public override IEnumerable<string> Files => [.. Inner.Files, down.File];

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int bytes = checked((int)(destination.Length / RowBytes * Inner.RowBytes)), columns = checked((int)Columns);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Inner.Read(files, firstRow, buffer.AsSpan(0, bytes));
            Span<float> values = MemoryMarshal.Cast<byte, float>(destination);
            Floats.Widen(buffer.AsSpan(0, bytes), Inner.Type, values);
            (float[] left, float[] right) = _factors.Value;
            for (long row = firstRow; !values.IsEmpty; row++, values = values[columns..])
            {
                for (int i = 0; i < rank; i++) TensorPrimitives.MultiplyAdd(right.AsSpan(i * columns, columns), scale * left[row * rank + i], values[..columns], values[..columns]);
            }
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }

    private static float[] Values(StoredTensor tensor)
    {
        TensorType type = SafetensorsTypes.AsTensorType(tensor.DataType)!.Value;
        byte[] bytes = new byte[tensor.Bytes];
        using var files = new CheckpointFiles();
        files.Read(tensor.File, tensor.Offset, bytes);
        var values = new float[bytes.Length / type.BlockBytes()];
        Floats.Widen(bytes, type, values);
        return values;
    }

    private static float[] Transposed(float[] values, int rows)
    {
        int columns = values.Length / rows;
        var turned = new float[values.Length];
        for (int i = 0; i < values.Length; i++) turned[i % columns * rows + i / columns] = values[i];
        return turned;
    }
}
