namespace NativeBigModel.Bench.Results;

/// <summary>What moved between two result files of one machine.</summary>
internal static class Comparison
{
    public enum Verdict { Same, Faster, Slower, Failed, Gone }

    /// <summary>One figure of one case, before and after.</summary>
    public sealed record Change(string Case, string Figure, Repeated? Old, Repeated? New, Verdict Verdict)
    {
        /// <summary>New over old: less than 1 is faster.</summary>
        public double? Ratio => New?.Median / Old?.Median;
    }

    /// <summary>
    /// Every figure that the old file has. It moved where the medians differ by more than the tolerance and the ranges of old and new do not touch: what repeated
    /// measurements of one build do by themselves is no change.
    /// </summary>
    /// <param name="before">The old file.</param>
    /// <param name="after">The new file.</param>
    /// <param name="tolerance">Such as 0.05.</param>
    public static IReadOnlyList<Change> Of(ResultFile before, ResultFile after, double tolerance)
    {
        ILookup<string, Measurement> now = after.Rows.ToLookup(Case);
        List<Change> changes = [];
        foreach (IGrouping<string, Measurement> old in before.Rows.GroupBy(Case))
        {
            foreach (Figure figure in Figure.All)
            {
                if (Repeated.Of(old.Select(figure.Of)) is not { } was) continue;
                Repeated? isNow = Repeated.Of(now[old.Key].Select(figure.Of));
                changes.Add(new(old.Key, figure.Title, was, isNow, isNow is null ? Missing(now, old.First()) : Judge(was, isNow, tolerance)));
            }
        }
        return changes;
    }

    /// <summary>Prints what moved and gives the exit code: 1 where something is slower, or fails that did not.</summary>
    public static int Print(IReadOnlyList<Change> changes, double tolerance, TextWriter output)
    {
        foreach (Change change in changes.OrderByDescending(change => change.Ratio ?? double.MaxValue))
        {
            string verdict = change.Verdict switch { Verdict.Same => "", Verdict.Failed => "FAILED", Verdict.Slower => "SLOWER", Verdict.Faster => "faster", _ => "not measured" };
            output.WriteLine($"{change.Ratio,7:0.000}  {Show(change.Old),-28} {Show(change.New),-28} {verdict,-12} {change.Case}: {change.Figure}");
        }
        int Count(Verdict verdict) => changes.Count(change => change.Verdict == verdict);
        output.WriteLine($"{changes.Count} figures: {Count(Verdict.Slower)} slower, {Count(Verdict.Faster)} faster by more than {tolerance:0.##} and the spread, {Count(Verdict.Failed)} failed, {Count(Verdict.Gone)} not measured");
        return Count(Verdict.Slower) + Count(Verdict.Failed) > 0 ? 1 : 0;
    }

    private static Verdict Judge(Repeated was, Repeated now, double tolerance) =>
        now.Median > was.Median * (1 + tolerance) && now.Least > was.Most ? Verdict.Slower
        : now.Median * (1 + tolerance) < was.Median && now.Most < was.Least ? Verdict.Faster
        : Verdict.Same;

    // A contender that failed has a row without a prompt's length.
    private static Verdict Missing(ILookup<string, Measurement> now, Measurement was) =>
        now.SelectMany(rows => rows).Any(row => row.Failure.Length > 0 && Case(row with { PromptTokens = was.PromptTokens }) == Case(was)) ? Verdict.Failed : Verdict.Gone;

    private static string Case(Measurement row) =>
        $"{row.Model}{(row.BudgetBytes > 0 ? $" in {Planning.ByteSize.Format(row.BudgetBytes)}" : "")}, {row.Contender}{(row.PromptTokens is { } tokens ? $", prompt of {tokens}" : "")}";

    private static string Show(Repeated? spread) => spread is null ? "-" : $"{spread.Median:0.####} ({spread.Least:0.####} to {spread.Most:0.####})";
}
