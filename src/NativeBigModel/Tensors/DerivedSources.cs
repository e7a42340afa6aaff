using System.Buffers;
using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using NativeBigModel.Checkpoints;
using NativeBigModel.Conversion;

namespace NativeBigModel.Tensors;

/// <summary>Which row of a source stands at a row of what is derived from it.</summary>
internal delegate long RowMap(long row);

/// <summary>Another source in another shape; it names the same files and stored type.</summary>
internal abstract class DerivedSource(TensorSource inner, TensorType type, long rows, long columns) : TensorSource(type, rows, columns)
{
    protected TensorSource Inner { get; } = inner;

    // Rows that are not whole blocks stay floats.
    public override TensorType StoredType => Columns % Inner.StoredType.BlockSize() == 0 ? Inner.StoredType : TensorType.F16;

    public override IEnumerable<string> Files => Inner.Files;
}

/// <summary>Some rows of a source, in any order: a permutation, or a part of a fused tensor.</summary>
internal sealed class PickedRows(TensorSource inner, long rows, RowMap from) : DerivedSource(inner, inner.Type, rows, inner.Columns)
{
    // Reading this much more than is asked for is cheaper than more calls.
    private const int ReadAhead = 64 * 1024;

    public override long RowsTogether => Inner.RowsTogether;

    public override TensorSource As(TensorType type) => Inner.As(type) is var same && same == Inner ? this : new PickedRows(same, Rows, from);

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int rowBytes = checked((int)RowBytes), count = destination.Length / rowBytes;
        long low = long.MaxValue, high = -1;
        for (int i = 0; i < count; i++)
        {
            long row = from(firstRow + i);
            (low, high) = (Math.Min(low, row), Math.Max(high, row));
        }
        long span = high - low + 1;
        if (count > 1 && span > 2L * count && span * rowBytes > ReadAhead && span > RowsTogether)
        {
            int half = count / 2;
            Read(files, firstRow, destination[..(half * rowBytes)]);
            Read(files, firstRow + half, destination[(half * rowBytes)..]);
            return;
        }
        int bytes = checked((int)(span * rowBytes));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Inner.Read(files, low, buffer.AsSpan(0, bytes));
            for (int i = 0; i < count; i++) buffer.AsSpan(checked((int)((from(firstRow + i) - low) * rowBytes)), rowBytes).CopyTo(destination[(i * rowBytes)..]);
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }
}

/// <summary>Sources of one shape and type, one after the other.</summary>
internal sealed class StackedSource(IReadOnlyList<TensorSource> parts)
    : DerivedSource(parts[0], parts[0].Type, parts[0].Rows * parts.Count, parts[0].Columns)
{
    // Elements that are whole blocks of every type.
    private const int WholeBlocks = 256;

    public override long RowsTogether => Inner.RowsTogether;

    // The widest of those that the parts have, so that none loses more than alone.
    public override TensorType StoredType { get; } = parts.Select(part => part.StoredType).MaxBy(type => type.RowBytes(WholeBlocks));

    public override IEnumerable<string> Files => parts.SelectMany(part => part.Files);

    public override TensorSource As(TensorType type)
    {
        TensorSource[] same = [.. parts.Select(part => part.As(type))];
        return same.SequenceEqual(parts) || same.Any(part => part.Type != same[0].Type) ? this : new StackedSource(same);
    }

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            (long part, long row) = Math.DivRem(firstRow, Inner.Rows);
            int bytes = (int)Math.Min(destination.Length, (Inner.Rows - row) * RowBytes);
            parts[(int)part].Read(files, row, destination[..bytes]);
            firstRow += bytes / RowBytes;
            destination = destination[bytes..];
        }
    }
}

/// <summary>Each of the matrices of <paramref name="matrixRows"/> rows that a source holds, transposed.</summary>
internal sealed class TransposedSource(TensorSource inner, long matrixRows)
    : DerivedSource(inner, inner.Type, inner.Rows / matrixRows * inner.Columns, matrixRows)
{
    // A row here is a column there: few of them together would be read an element at a time.
    public override long RowsTogether => Math.Min(Inner.Columns, 512);

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int element = Type.BlockBytes(), rowBytes = checked((int)RowBytes);
        byte[] buffer = ArrayPool<byte>.Shared.Rent(checked((int)Inner.RowBytes));
        try
        {
            while (!destination.IsEmpty)
            {
                (long matrix, long column) = Math.DivRem(firstRow, Inner.Columns);
                int count = (int)Math.Min(destination.Length / rowBytes, Inner.Columns - column);
                Span<byte> part = buffer.AsSpan(0, count * element);
                for (int row = 0; row < Columns; row++)
                {
                    Inner.ReadPart(files, matrix * Columns + row, column, part);
                    for (int i = 0; i < count; i++) part.Slice(i * element, element).CopyTo(destination[(i * rowBytes + row * element)..]);
                }
                firstRow += count;
                destination = destination[(count * rowBytes)..];
            }
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }
}

/// <summary>Values through a function, in F32.</summary>
internal sealed class ComputedSource(TensorSource inner, ComputedSource.Function apply) : DerivedSource(inner, TensorType.F32, inner.Rows, inner.Columns)
{
    /// <summary>Changes values in place.</summary>
    public delegate void Function(Span<float> values);

    public override long RowsTogether => Inner.RowsTogether;

    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        int bytes = checked((int)(destination.Length / RowBytes * Inner.RowBytes));
        byte[] buffer = ArrayPool<byte>.Shared.Rent(bytes);
        try
        {
            Inner.Read(files, firstRow, buffer.AsSpan(0, bytes));
            Span<float> values = MemoryMarshal.Cast<byte, float>(destination);
            Floats.Widen(buffer.AsSpan(0, bytes), Inner.Type, values);
            apply(values);
        }
        finally { ArrayPool<byte>.Shared.Return(buffer); }
    }

    /// <summary>Multiplies by a number.</summary>
    public static Function Times(float factor) => values => TensorPrimitives.Multiply(values, factor, values);

    /// <summary>Adds a number.</summary>
    public static Function Plus(float term) => values => TensorPrimitives.Add(values, term, values);

    /// <summary>Divides each row by its length.</summary>
    public static Function UnitRows(int columns) => values =>
    {
        for (; !values.IsEmpty; values = values[columns..]) TensorPrimitives.Divide(values[..columns], Math.Max(TensorPrimitives.Norm<float>(values[..columns]), 1e-12f), values[..columns]);
    };

    /// <summary>-exp: a state space's decay from its logarithm.</summary>
    public static void MinusExp(Span<float> values)
    {
        TensorPrimitives.Exp(values, values);
        TensorPrimitives.Negate(values, values);
    }

    /// <summary>The values as they are.</summary>
    public static void Nothing(Span<float> values) { }
}

/// <summary>The elements of a source, one a row.</summary>
internal sealed class ColumnSource(TensorSource inner) : DerivedSource(inner, inner.Type, inner.Rows * inner.Columns, 1)
{
    public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            (long row, long column) = Math.DivRem(firstRow, Inner.Columns);
            int bytes = (int)Math.Min(destination.Length, (Inner.Columns - column) * RowBytes);
            Inner.ReadPart(files, row, column, destination[..bytes]);
            firstRow += bytes / RowBytes;
            destination = destination[bytes..];
        }
    }
}
