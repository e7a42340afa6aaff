using System.Diagnostics;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

/// <summary>Tokens a second of several conversations at once.</summary>
internal static class SessionsBench
{
    private sealed record Round(int Sessions, double TokensPerS, double TokensPerSPerSession);

    public static async Task RunAsync(BigModel model, double load, int[] together, int prompt, int tokens, int rounds, bool json, CancellationToken cancel)
    {
        async Task<List<Round>> RoundAsync()
        {
            var round = new List<Round>();
            foreach (int sessions in together)
            {
                double rate = await MeasureAsync(model, sessions, prompt, tokens, cancel).ConfigureAwait(false);
                round.Add(new(sessions, rate, rate / sessions));
            }
            return round;
        }
        List<Round> measured = await BenchCommand.MeasuredAsync(RoundAsync, rounds).ConfigureAwait(false);
        if (json)
        {
            Json.Print(new { LoadS = load, Rounds = measured, model.Streaming, Plan = PlanJson.Of(model.Plan) });
            return;
        }
        Terminal.Console.MarkupLineInterpolated($"loaded in {load:0.00} s");
        var table = new Table().Border(TableBorder.Rounded);
        foreach (string name in (string[])["sessions", "tokens/s", "of each", "times one"]) table.AddColumn(new TableColumn(name).RightAligned());
        double first = Rate(together[0]) / together[0];
        foreach (int sessions in together) table.AddRow($"{sessions}", $"{Rate(sessions):0.00}", $"{Rate(sessions) / sessions:0.00}", $"{Rate(sessions) / first:0.00}");
        Terminal.Console.Write(table);

        double Rate(int sessions) => BenchCommand.Median(measured.Where(round => round.Sessions == sessions).Select(round => round.TokensPerS));
    }

    // Counted while all of them generate: from the last one's first token to the first one's last.
    private static async Task<double> MeasureAsync(BigModel model, int sessions, int prompt, int tokens, CancellationToken cancel)
    {
        long[][] times = await Task.WhenAll(Enumerable.Range(0, sessions).Select(async session =>
        {
            var seen = new List<long>();
            await foreach (GenerationStep _ in model.GenerateAsync(BenchCommand.Prompt(model, prompt, session), BenchCommand.Options(tokens), cancel).ConfigureAwait(false)) seen.Add(Stopwatch.GetTimestamp());
            return seen.ToArray();
        })).ConfigureAwait(false);
        long from = times.Max(seen => seen[0]), to = times.Min(seen => seen[^1]);
        if (to <= from) throw new InvalidOptionException($"--tokens: {tokens}; the first of {sessions} conversations ends before the last begins, so more are needed");
        return times.Sum(seen => seen.Count(time => time > from && time <= to)) / Stopwatch.GetElapsedTime(from, to).TotalSeconds;
    }
}
