using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Quantization;

/// <summary>A weight that is stored quantised. Its rows are computed where they are asked for, as F32; no more is read than they need.</summary>
internal abstract class QuantizedSource(IReadOnlyList<StoredTensor> parts, long rows, long columns, TensorType kept) : TensorSource(TensorType.F32, rows, columns)
{
    public override IEnumerable<string> Files => parts.Select(part => part.File).Distinct(StringComparer.Ordinal);

    // Rows that are not whole blocks stay floats.
    public override TensorType StoredType => Columns % kept.BlockSize() == 0 ? kept : TensorType.F16;

    public sealed override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        Dequantize(files, firstRow, checked((int)(destination.Length / RowBytes)), MemoryMarshal.Cast<byte, float>(destination));

    /// <summary>Computes some rows, one after the other.</summary>
    protected abstract void Dequantize(CheckpointFiles files, long firstRow, int rows, Span<float> values);
}
