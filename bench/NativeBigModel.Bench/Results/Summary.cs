using NativeBigModel.Planning;

namespace NativeBigModel.Bench.Results;

/// <summary>Tables of a contest: medians, ratios to this library with their spread, and the fraction of the bound.</summary>
internal static class Summary
{
    /// <summary>A row in one line, as it is measured.</summary>
    public static string Line(Measurement row)
    {
        string who = $"  round {row.Round}, {(row.BudgetBytes > 0 ? ByteSize.Format(row.BudgetBytes) : "any budget"),-10} {row.Contender,-24}";
        return row.Failure.Length > 0
            ? $"{who} FAILED: {row.Failure}"
            : $"{who} load {row.LoadSeconds:0.00}; prompt {row.PromptTokens}: {row.PromptSeconds:0.0000} s, {row.TokenSeconds:0.0000} s/token{(row.GpuPeakBytes is { } peak ? $"; GPU {ByteSize.Format(peak)}" : "")}{(row.HostPeakBytes is { } host ? $"; RAM {ByteSize.Format(host)}" : "")}";
    }

    /// <summary>A table for every model and budget, in Markdown.</summary>
    public static void Print(IReadOnlyList<Measurement> rows, TextWriter output)
    {
        foreach (IGrouping<(string Model, string Type, long Weights), Measurement> model in rows.GroupBy(row => (row.Model, row.Type, row.WeightBytes)))
        {
            Measurement[] everywhere = [.. model.Where(row => row.BudgetBytes == 0)];
            foreach (IGrouping<long, Measurement> budget in model.Where(row => row.BudgetBytes > 0).GroupBy(row => row.BudgetBytes))
            {
                string reference = budget.OrderBy(row => row.Failure.Length > 0).First().Contender;
                Measurement[] first = [.. budget.Where(row => row.Contender == reference)];
                output.WriteLine($"{model.Key.Model}, {ByteSize.Format(model.Key.Weights)}, in {ByteSize.Format(budget.Key)}. Seconds, medians; in brackets how many times those of {reference}, least to most of the rounds");
                output.WriteLine("| contender | a token | of the bound | prompt | of the bound | load | GPU | predicted | |");
                output.WriteLine("|---|---|---|---|---|---|---|---|---|");
                foreach (IGrouping<string, Measurement> one in budget.Concat(everywhere).GroupBy(row => row.Contender)) output.WriteLine(Row(one.Key, [.. one], first));
                output.WriteLine();
            }
        }
    }

    private static string Row(string name, Measurement[] rows, Measurement[] first)
    {
        if (rows.All(row => row.Failure.Length > 0)) return $"| {name} | failed: {rows[0].Failure} | | | | | | | |";
        string faster = string.Join(", ", Figure.All.Where(figure => Ratio(rows, first, figure)?.Median < 1).Select(figure => figure.Name));
        return $"| {name} | {Show(rows, first, Figure.Token)} | {Fraction(rows, first, Figure.Token)} | {Show(rows, first, Figure.Prompt)} | {Fraction(rows, first, Figure.Prompt)} | {Show(rows, first, Figure.Load)} | {(rows.Max(row => row.GpuPeakBytes) is { } peak ? ByteSize.Format(peak) : "")} | {Predicted(rows)} | {(faster.Length > 0 && rows[0].Contender != first[0].Contender ? $"faster: {faster}" : "")} |";
    }

    private static string Show(Measurement[] rows, Measurement[] first, Figure figure)
    {
        if (Repeated.Of(rows.Select(figure.Of)) is not { } spread) return "";
        return Ratio(rows, first, figure) is { } ratio && rows[0].Contender != first[0].Contender ? $"{spread.Median:0.####} ({ratio.Median:0.00}, {ratio.Least:0.00} to {ratio.Most:0.00})" : $"{spread.Median:0.####}";
    }

    /// <summary>How many times the first's: round by round, because rounds of one number ran one after the other.</summary>
    internal static Repeated? Ratio(Measurement[] rows, Measurement[] first, Figure figure) =>
        Repeated.Of(rows.Join(first, row => (row.Round, row.PromptTokens), row => (row.Round, row.PromptTokens), (row, other) => figure.Of(row) / figure.Of(other)));

    // How far what was foretold is from what came.
    private static string Predicted(Measurement[] rows)
    {
        static double? Off(Measurement[] rows, Func<Measurement, double?> predicted, Func<Measurement, double?> measured) => Repeated.Of(rows.Select(row => predicted(row) / measured(row) - 1))?.Median;
        double? token = Off(rows, row => row.PredictedTokenSeconds, row => row.TokenSeconds), prompt = Off(rows, row => row.PredictedPromptSeconds, row => row.PromptSeconds);
        return token is null ? "" : $"token {token:+0 %;-0 %;0 %}{(prompt is null ? "" : $", prompt {prompt:+0 %;-0 %;0 %}")}";
    }

    private static string Fraction(Measurement[] rows, Measurement[] first, Figure figure) =>
        Repeated.Of(rows.Select(figure.Of)) is { } spread && first.Select(figure.Bound).FirstOrDefault(bound => bound is not null) is { } bound ? $"{bound / spread.Median:0.00}" : "";
}
