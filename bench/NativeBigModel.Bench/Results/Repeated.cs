namespace NativeBigModel.Bench.Results;

/// <summary>Repeated measurements of one thing.</summary>
internal sealed record Repeated(double Median, double Least, double Most, int Count)
{
    /// <summary>Some values, or null where there are none.</summary>
    public static Repeated? Of(IEnumerable<double?> values)
    {
        double[] sorted = [.. values.OfType<double>().Order()];
        return sorted.Length == 0 ? null : new((sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2, sorted[0], sorted[^1], sorted.Length);
    }
}
