using System.Buffers;
using System.Numerics.Tensors;
using NativeBigModel.Native;
using NativeBigModel.Quantization;

namespace NativeBigModel.Conversion;

/// <summary>Brings rows from the type they are stored in to the type they will have. Quantised types are made as ggml's own quantiser makes them.</summary>
internal static class RowEncoder
{
    private const float LargestHalf = 65504;

    /// <summary>Whether rows of one type can become rows of another.</summary>
    public static bool CanEncode(TensorType from, TensorType to) => from == to || Floats.IsFloat(from);

    /// <summary>Encodes whole rows.</summary>
    /// <param name="name">The tensor, for errors.</param>
    /// <param name="rows">Rows of <paramref name="from"/>.</param>
    /// <param name="from">Type of <paramref name="rows"/>.</param>
    /// <param name="destination">Exactly the bytes that the rows take as <paramref name="to"/>.</param>
    /// <param name="to">Type to make.</param>
    /// <param name="columns">Elements in a row.</param>
    /// <param name="importance">How much each column of each matrix matters, or null.</param>
    /// <param name="firstRow">Number of the first row in its tensor.</param>
    /// <param name="matrixRows">Rows of one matrix of it.</param>
    /// <exception cref="CheckpointException">A value is NaN, infinite, or too large for the type.</exception>
    public static void Encode(string name, ReadOnlySpan<byte> rows, TensorType from, Span<byte> destination, TensorType to, long columns,
        float[]? importance = null, long firstRow = 0, long matrixRows = long.MaxValue)
    {
        if (from == to)
        {
            rows.CopyTo(destination);
            return;
        }
        int elements = checked((int)(rows.Length / from.RowBytes(columns) * columns));
        float[] buffer = ArrayPool<float>.Shared.Rent(elements);
        try
        {
            Span<float> values = buffer.AsSpan(0, elements);
            Floats.Widen(rows, from, values);
            if (to == TensorType.F16) RequireRange(name, values, LargestHalf, to);
            if (to.IsQuantized())
            {
                RequireRange(name, values, float.MaxValue, to);
                if (importance is null) QuantizeRows(name, to, values, destination, columns);
                else QuantizeMatrices(name, to, values, destination, columns, importance, firstRow, matrixRows);
            }
            else Floats.Narrow(values, to, destination);
        }
        finally { ArrayPool<float>.Shared.Return(buffer); }
    }

    private static void QuantizeRows(string name, TensorType to, ReadOnlySpan<float> values, Span<byte> destination, long columns)
    {
        if (!BlockQuantizer.Makes(to))
        {
            GgmlQuantizer.Quantize(name, to, values, destination, columns);
            return;
        }
        BlockQuantizer.Quantize(to, values, destination, (rest, blocks) => GgmlQuantizer.Quantize(name, to, rest, blocks, rest.Length));
        GgmlQuantizer.Validate(name, to, destination);
    }

    // Each matrix, of an expert, has its own importance.
    private static void QuantizeMatrices(string name, TensorType to, ReadOnlySpan<float> values, Span<byte> destination, long columns, float[] importance, long firstRow, long matrixRows)
    {
        while (!values.IsEmpty)
        {
            (long matrix, long row) = Math.DivRem(firstRow, matrixRows);
            long rows = Math.Min(matrixRows - row, values.Length / columns);
            int elements = checked((int)(rows * columns)), bytes = checked((int)(rows * to.RowBytes(columns)));
            GgmlQuantizer.Quantize(name, to, values[..elements], destination[..bytes], columns, importance.AsSpan(checked((int)(matrix * columns)), (int)columns));
            values = values[elements..];
            destination = destination[bytes..];
            firstRow += rows;
        }
    }

    private static void RequireRange(string name, ReadOnlySpan<float> values, float limit, TensorType type)
    {
        float largest = TensorPrimitives.MaxMagnitude(values);
        if (!(MathF.Abs(largest) <= limit))
            throw new CheckpointException(name, "values", $"the largest is {largest}, and {type} holds finite ones up to {limit}");
    }
}
