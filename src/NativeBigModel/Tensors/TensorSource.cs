using System.Buffers;
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

    /// <summary>Rows that cost little more to read together than one alone.</summary>
    public virtual long RowsTogether => 1;

    /// <summary>The files that the rows come from.</summary>
    public virtual IEnumerable<string> Files => [];

    /// <summary>Reads whole rows, beginning with <paramref name="firstRow"/>, until <paramref name="destination"/> is full. Safe to call from several threads.</summary>
    public abstract void Read(CheckpointFiles files, long firstRow, Span<byte> destination);

    /// <summary>Reads elements of one row, beginning with <paramref name="firstColumn"/>; not of a quantised type.</summary>
    public virtual void ReadPart(CheckpointFiles files, long row, long firstColumn, Span<byte> destination)
    {
        int bytes = checked((int)RowBytes);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Read(files, row, buffer.AsSpan(0, bytes));
            buffer.AsSpan(checked((int)Type.RowBytes(firstColumn)), destination.Length).CopyTo(destination);
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }

    /// <summary>The same elements, one a row; not of a quantised type.</summary>
    public virtual TensorSource AsColumn() => Columns == 1 ? this : new ColumnSource(this);
}

/// <summary>Rows as they stand in a file.</summary>
internal sealed class StoredSource(StoredTensor tensor, TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
{
    /// <summary>The stored tensor, whose bytes are the rows as they stand.</summary>
    public StoredTensor Tensor { get; } = tensor;

    public override IEnumerable<string> Files => [Tensor.File];

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        files.Read(Tensor.File, Tensor.Offset + firstRow * RowBytes, destination);

    public override void ReadPart(CheckpointFiles files, long row, long firstColumn, Span<byte> destination) =>
        files.Read(Tensor.File, Tensor.Offset + row * RowBytes + Type.RowBytes(firstColumn), destination);

    public override TensorSource AsColumn() => new StoredSource(Tensor, Type, Rows * Columns, 1);
}

/// <summary>Float values made by the architecture itself, such as rotary frequencies.</summary>
internal sealed class ConstantSource(float[] values) : TensorSource(TensorType.F32, 1, values.Length)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        System.Runtime.InteropServices.MemoryMarshal.AsBytes(values.AsSpan()).CopyTo(destination);
}

/// <summary>One value everywhere: a bias that the checkpoint has not and the graph wants.</summary>
internal sealed class UniformSource(float value, long rows, long columns) : TensorSource(TensorType.F32, rows, columns)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        System.Runtime.InteropServices.MemoryMarshal.Cast<byte, float>(destination).Fill(value);
}

/// <summary>A tensor of which only the shape is known, because the checkpoint's data is not there.</summary>
/// <param name="name">The file that names it.</param>
/// <param name="type">The type that it would have in a model kept as it is stored.</param>
/// <param name="rows">Its rows.</param>
/// <param name="columns">Its columns.</param>
internal sealed class AbsentSource(string name, TensorType type, long rows, long columns) : TensorSource(type.IsQuantized() ? TensorType.F32 : type, rows, columns)
{
    public override TensorType StoredType => type;

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) =>
        throw new CheckpointException(name, "data", "the checkpoint holds no weight files, only a configuration");
}
