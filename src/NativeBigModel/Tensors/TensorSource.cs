using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tensors;

/// <summary>
/// Where a tensor's data comes from: a matrix of <see cref="Rows"/> by <see cref="Columns"/> elements of <see cref="Type"/> that can be read a few rows
/// at a time. A model is a list of these, so loading and converting are one loop over rows and never hold a whole tensor.
/// </summary>
internal abstract class TensorSource(TensorType type, long rows, long columns)
{
    public TensorType Type { get; } = type;

    public long Rows { get; } = rows;

    public long Columns { get; } = columns;

    public long RowBytes => Type.RowBytes(Columns);

    /// <summary>The type that the tensor has in a model kept as it is stored: its own, or where ggml has no such type, the one that loses least for its size.</summary>
    public virtual TensorType StoredType => Type;

    /// <summary>The tensor for a model in which it has this type: itself, or rows that are of the type already where the file's need only be laid out anew.</summary>
    public virtual TensorSource As(TensorType type) => this;

    /// <summary>The files that the rows come from.</summary>
    public virtual IEnumerable<string> Files => [];

    /// <summary>Reads whole rows, beginning with <paramref name="firstRow"/>, until <paramref name="destination"/> is full. Safe to call from several threads.</summary>
    public abstract void Read(CheckpointFiles files, long firstRow, Span<byte> destination);
}

/// <summary>Rows as they stand in a file.</summary>
internal sealed class StoredSource(StoredTensor tensor, TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
{
    /// <summary>The stored tensor, whose bytes are the rows as they stand.</summary>
    public StoredTensor Tensor { get; } = tensor;

    public override IEnumerable<string> Files => [Tensor.File];

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        files.Read(Tensor.File, Tensor.Offset + firstRow * RowBytes, destination);
}

/// <summary>A vector's elements as rows of one, so that they can be reordered. Every read reads the vector, which is short.</summary>
internal sealed class ElementRows(TensorSource vector) : TensorSource(vector.Type, vector.Columns, 1)
{
    public override IEnumerable<string> Files => vector.Files;

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        byte[] whole = new byte[vector.RowBytes];
        vector.Read(files, 0, whole);
        whole.AsSpan(checked((int)(firstRow * RowBytes)), destination.Length).CopyTo(destination);
    }
}

/// <summary>Float values made by the architecture itself, such as rotary frequencies.</summary>
internal sealed class ConstantSource(float[] values) : TensorSource(TensorType.F32, 1, values.Length)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(destination);
}

/// <summary>A tensor of which only the shape is known, because the checkpoint's data is not there.</summary>
internal sealed class AbsentSource(string name, TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        throw new CheckpointException(name, "data", "the checkpoint holds no weight files, only a configuration");
}
