using System.Buffers;
using System.Numerics.Tensors;
using NativeBigModel.Native;

namespace NativeBigModel.Conversion;

/// <summary>What quantising loses, measured while it is made on one row of a tensor's first piece and of some after it. Thread-safe.</summary>
internal sealed class LossSample
{
    /// <summary>Of so many pieces one is looked at.</summary>
    public const int Every = 8;

    private readonly Dictionary<TensorType, (double Error, double Whole)> _sums = [];

    /// <summary>The squared error of each type over the squares of what it stands for.</summary>
    public IReadOnlyDictionary<TensorType, double> ByType
    {
        get { lock (_sums) return _sums.ToDictionary(sum => sum.Key, sum => sum.Value.Whole > 0 ? sum.Value.Error / sum.Value.Whole : 0); }
    }

    /// <summary>Compares one row with what was made of it.</summary>
    public void Add(ReadOnlySpan<byte> row, TensorType from, ReadOnlySpan<byte> encoded, TensorType to, int columns)
    {
        float[] buffer = ArrayPool<float>.Shared.Rent(2 * columns);
        try
        {
            Span<float> values = buffer.AsSpan(0, columns), made = buffer.AsSpan(columns, columns);
            Floats.Widen(row, from, values);
            GgmlQuantizer.Dequantize(to, encoded, made);
            double whole = TensorPrimitives.SumOfSquares<float>(values);
            TensorPrimitives.Subtract(values, made, made);
            double error = TensorPrimitives.SumOfSquares<float>(made);
            lock (_sums)
            {
                (double Error, double Whole) sum = _sums.GetValueOrDefault(to);
                _sums[to] = (sum.Error + error, sum.Whole + whole);
            }
        }
        finally { ArrayPool<float>.Shared.Return(buffer); }
    }
}
