using System.CommandLine;
using System.Diagnostics;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

/// <summary>Loads once and times prompts and tokens, again and again, as they go with the placement at hand.</summary>
internal static class BenchCommand
{
    // Rounds that do not count, one at least: .NET compiles what is used often anew in the first seconds, on a core that computes tokens too.
    private static readonly TimeSpan s_warmUp = TimeSpan.FromSeconds(2);

    private sealed record Round(int Prompt, double PrefillS, double DecodeSPerToken, double FirstS, double StreamedBytesPerToken); // FirstS: the first token after the prompt's own

    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var prompt = new Option<string>("--prompt") { Description = "Lengths of prompts, in tokens", HelpName = "512,2048", DefaultValueFactory = _ => "512" };
        var tokens = new Option<int>("--tokens") { Description = "Tokens to generate after each prompt", HelpName = "N", DefaultValueFactory = _ => 16 };
        var rounds = new Option<int>("--rounds") { Description = "Times that each is measured, after two seconds at least that are not", HelpName = "N", DefaultValueFactory = _ => 3 };
        var sessions = new Option<string?>("--sessions") { Description = "Time so many conversations at once instead, each with the first length of prompt", HelpName = "1,2,4,8" };
        var placement = new PlacementOptions(choosesSessions: false);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("bench", "Load a model and time prompts and tokens") { path, prompt, tokens, rounds, sessions };
        placement.AddTo(command);
        command.Add(json);
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            int[] lengths = CommonOptions.ParseIds("--prompt", parsed.GetRequiredValue(prompt));
            if (lengths.Length == 0 || lengths.Any(length => length < 1)) throw new InvalidOptionException("--prompt: a prompt has at least 1 token");
            (int count, int times) = (parsed.GetValue(tokens), parsed.GetValue(rounds));
            if (count < 2) throw new InvalidOptionException($"--tokens: {count}; at least 2 are needed to time one");
            if (times < 1) throw new InvalidOptionException($"--rounds: {times}; at least 1 is needed");
            int[] together = parsed.GetValue(sessions) is { } list ? CommonOptions.ParseIds("--sessions", list) : [];
            if (parsed.GetValue(sessions) is not null && (together.Length == 0 || together.Any(number => number < 1))) throw new InvalidOptionException("--sessions: at least 1 conversation is needed");
            long started = Stopwatch.GetTimestamp();
            using var progress = new ProgressLine("loading");
            await using BigModel model = await BigModel.LoadAsync(parsed.GetRequiredValue(path), placement.Read(parsed) with { Sessions = together.DefaultIfEmpty(1).Max() }, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            double load = Stopwatch.GetElapsedTime(started).TotalSeconds;
            if (together.Length > 0)
            {
                await SessionsBench.RunAsync(model, load, together, lengths[0], count, times, parsed.GetValue(json), cancel).ConfigureAwait(false);
                return;
            }
            async Task<List<Round>> RoundAsync()
            {
                var round = new List<Round>();
                foreach (int length in lengths) round.Add(await MeasureAsync(model, length, count, cancel).ConfigureAwait(false));
                return round;
            }
            List<Round> measured = await MeasuredAsync(RoundAsync, times).ConfigureAwait(false);
            if (parsed.GetValue(json)) Json.Print(new { LoadS = load, Rounds = measured, model.Streaming, Plan = PlanJson.Of(model.Plan) });
            else Print(load, lengths, measured);
        });
        return command;
    }

    /// <summary>What so many rounds measured, after a warm-up.</summary>
    internal static async Task<List<T>> MeasuredAsync<T>(Func<Task<List<T>>> roundAsync, int times)
    {
        long started = Stopwatch.GetTimestamp();
        do await roundAsync().ConfigureAwait(false);
        while (Stopwatch.GetElapsedTime(started) < s_warmUp);
        var measured = new List<T>();
        for (int round = 0; round < times; round++) measured.AddRange(await roundAsync().ConfigureAwait(false));
        return measured;
    }

    private static async Task<Round> MeasureAsync(BigModel model, int length, int count, CancellationToken cancel)
    {
        int[] prompt = Prompt(model, length, 0);
        GenerateOptions options = Options(count);
        GenerationStep? last = null;
        long before = 0;
        double first = 0;
        await foreach (GenerationStep step in model.GenerateAsync(prompt, options, cancel).ConfigureAwait(false))
        {
            if (last is null) before = Streamed(step);
            else if (first == 0) first = step.Elapsed.TotalSeconds;
            last = step;
        }
        return new Round(length, last!.Prefill.TotalSeconds, last.Elapsed.TotalSeconds / (count - 1), first, (double)(Streamed(last) - before) / (count - 1));
    }

    /// <summary>A prompt of so many tokens; others with another seed.</summary>
    internal static int[] Prompt(BigModel model, int length, int seed) => [.. Enumerable.Range(0, length).Select(i => (int)((i + 31L * seed) * 7919 % model.Tokenizer.TokenCount))];

    internal static GenerateOptions Options(int tokens) => new() { Temperature = 0, MaxNewTokens = tokens, IgnoreEndOfGeneration = true, ReusePrefix = false };

    private static long Streamed(GenerationStep step) => step.Streaming is { } stats ? stats.BytesFromHost + stats.BytesFromFile : 0;

    private static void Print(double load, int[] lengths, List<Round> rounds)
    {
        Terminal.Console.MarkupLineInterpolated($"loaded in {load:0.00} s");
        var table = new Table().Border(TableBorder.Rounded);
        foreach (string name in (string[])["prompt", "s", "tokens/s", "s/token", "tokens/s", "streamed GB/s"]) table.AddColumn(new TableColumn(name).RightAligned());
        foreach (int length in lengths)
        {
            List<Round> of = [.. rounds.Where(round => round.Prompt == length)];
            double prefill = Median(of.Select(round => round.PrefillS)), decode = Median(of.Select(round => round.DecodeSPerToken)), bytes = Median(of.Select(round => round.StreamedBytesPerToken));
            table.AddRow($"{length}", $"{prefill:0.000}", $"{length / prefill:0.0}", $"{decode:0.0000}", $"{1 / decode:0.00}", bytes > 0 ? $"{bytes / decode / 1e9:0.0}" : "-");
        }
        Terminal.Console.Write(table);
    }

    internal static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        return (sorted[sorted.Length / 2] + sorted[(sorted.Length - 1) / 2]) / 2;
    }
}
