using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace NativeBigModel.Quantization;

/// <summary>
/// ggml's searches for the scale of a group of weights, for <see cref="Lanes"/> groups side by side: element i of group j is lane j of vector i. Every lane does the
/// same operations on floats in the same order as ggml does for one group, so where ggml's compiler did not fuse multiplications with additions (x64), the bits are equal.
/// </summary>
internal static class GroupFit
{
    /// <summary>Groups side by side.</summary>
    public const int Lanes = 8;

    /// <summary>Values and scales below this, ggml takes for zeros.</summary>
    public const float Nothing = 1e-15f;

    private const int MostElements = 32;

    // Added and taken away again, it leaves a float rounded to the nearest integer, ties to even, in the low bits of its mantissa.
    private const float Rounder = 12582912;

    /// <summary>The nearest integers, in the range that ggml limits them to.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static Vector256<int> Nearest(Vector256<float> values, int least, int most)
    {
        Vector256<int> nearest = ((values + Vector256.Create(Rounder)).AsInt32() & Vector256.Create(0x007fffff)) - Vector256.Create(0x00400000);
        return Vector256.Max(Vector256.Create(least), Vector256.Min(Vector256.Create(most), nearest));
    }

    /// <summary>The nearest integer, not limited.</summary>
    public static int Nearest(float value) => (BitConverter.SingleToInt32Bits(value + Rounder) & 0x007fffff) - 0x00400000;

    /// <summary>The scale and the minimum of levels 0 to <paramref name="most"/> that fit 32 values best, the large ones weighing more.</summary>
    /// <param name="values">A vector for each of the 32 elements.</param>
    /// <param name="most">The highest level: 15 or 31.</param>
    /// <param name="first">How far from <paramref name="most"/> the search begins; it goes on by tenths.</param>
    /// <param name="steps">Tenths that it goes.</param>
    /// <param name="minimum">How far below zero the group begins, not negative.</param>
    /// <returns>The scale; 0 in a group of one value.</returns>
    public static Vector256<float> WithMinimum(ReadOnlySpan<Vector256<float>> values, int most, float first, int steps, out Vector256<float> minimum)
    {
        Span<Vector256<float>> weights = stackalloc Vector256<float>[MostElements], tried = stackalloc Vector256<float>[MostElements];
        Vector256<float> squares = default;
        foreach (Vector256<float> value in values) squares += value * value;
        Vector256<float> average = Vector256.Sqrt(squares / values.Length);
        for (int i = 0; i < values.Length; i++) weights[i] = average + Vector256.Abs(values[i]);
        Vector256<float> min = values[0], max = values[0], sumW = weights[0], sumX = sumW * values[0];
        for (int i = 1; i < values.Length; i++)
        {
            Vector256<float> x = values[i], w = weights[i];
            min = Vector256.ConditionalSelect(Vector256.LessThan(x, min), x, min);
            max = Vector256.ConditionalSelect(Vector256.GreaterThan(x, max), x, max);
            sumW += w;
            sumX += w * x;
        }
        min = Vector256.ConditionalSelect(Vector256.GreaterThan(min, default), default, min);
        Vector256<float> level = Vector256.Equals(max, min), levelMinimum = min;
        Vector256<float> inverse = Vector256.Create((float)most) / (max - min), scale = Vector256<float>.One / inverse, best = default;
        for (int i = 0; i < values.Length; i++)
        {
            Vector256<float> difference = scale * Vector256.ConvertToSingle(Nearest(inverse * (values[i] - min), 0, most)) + min - values[i];
            best += weights[i] * (difference * difference);
        }
        for (int step = 0; step <= steps; step++)
        {
            inverse = Vector256.Create(first + 0.1f * step + most) / (max - min);
            Vector256<float> sumL = default, sumL2 = default, sumXL = default;
            for (int i = 0; i < values.Length; i++)
            {
                Vector256<float> x = values[i], l = Vector256.ConvertToSingle(Nearest(inverse * (x - min), 0, most)), wl = weights[i] * l;
                tried[i] = l;
                sumL += wl;
                sumL2 += wl * l;
                sumXL += wl * x;
            }
            Vector256<float> determinant = sumW * sumL2 - sumL * sumL;
            Vector256<float> thisScale = (sumW * sumXL - sumX * sumL) / determinant, thisMin = (sumL2 * sumX - sumL * sumXL) / determinant;
            Vector256<float> above = Vector256.GreaterThan(thisMin, default);
            thisMin = Vector256.ConditionalSelect(above, default, thisMin);
            thisScale = Vector256.ConditionalSelect(above, sumXL / sumL2, thisScale);
            Vector256<float> error = default;
            for (int i = 0; i < values.Length; i++)
            {
                Vector256<float> difference = thisScale * tried[i] + thisMin - values[i];
                error += weights[i] * (difference * difference);
            }
            Vector256<float> better = Vector256.GreaterThan(determinant, default) & Vector256.LessThan(error, best);
            best = Vector256.ConditionalSelect(better, error, best);
            scale = Vector256.ConditionalSelect(better, thisScale, scale);
            min = Vector256.ConditionalSelect(better, thisMin, min);
        }
        minimum = -Vector256.ConditionalSelect(level, levelMinimum, min);
        return Vector256.ConditionalSelect(level, default, scale);
    }

    /// <summary>The scale of levels -<paramref name="levels"/> to <paramref name="levels"/> - 1 that fits 16 values best, each weighing as its square; 0 in a group of zeros.</summary>
    public static Vector256<float> Symmetric(ReadOnlySpan<Vector256<float>> values, int levels)
    {
        Vector256<float> max = default, largest = default;
        foreach (Vector256<float> x in values)
        {
            Vector256<float> size = Vector256.Abs(x), more = Vector256.GreaterThan(size, largest);
            largest = Vector256.ConditionalSelect(more, size, largest);
            max = Vector256.ConditionalSelect(more, x, max);
        }
        Sums(values, Vector256.Create(-(float)levels) / max, levels, out Vector256<float> sumLX, out Vector256<float> sumL2);
        Vector256<float> scale = Vector256.ConditionalSelect(Vector256.Equals(sumL2, default), default, sumLX / sumL2), best = scale * sumLX;
        for (int step = -9; step <= 9; step++)
        {
            if (step == 0) continue;
            Sums(values, Vector256.Create(-(levels + 0.1f * step)) / max, levels, out sumLX, out sumL2);
            Vector256<float> better = Vector256.GreaterThan(sumL2, default) & Vector256.GreaterThan(sumLX * sumLX, best * sumL2), thisScale = sumLX / sumL2;
            scale = Vector256.ConditionalSelect(better, thisScale, scale);
            best = Vector256.ConditionalSelect(better, thisScale * sumLX, best);
        }
        return Vector256.ConditionalSelect(Vector256.LessThan(largest, Vector256.Create(Nothing)), default, scale);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Sums(ReadOnlySpan<Vector256<float>> values, Vector256<float> inverse, int levels, out Vector256<float> sumLX, out Vector256<float> sumL2)
    {
        sumLX = sumL2 = default;
        foreach (Vector256<float> x in values)
        {
            Vector256<float> l = Vector256.ConvertToSingle(Nearest(inverse * x, -levels, levels - 1)), w = x * x;
            sumLX += w * x * l;
            sumL2 += w * l * l;
        }
    }
}
