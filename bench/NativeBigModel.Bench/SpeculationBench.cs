using NativeBigModel.Bench.Models;
using NativeBigModel.Planning;

namespace NativeBigModel.Bench;

/// <summary>One answer of a model without guesses, with those of prompt lookup and with those of draft models: how fast it comes, and whether it is the same.</summary>
internal static class SpeculationBench
{
    public const string Usage = "speculate FILE.gguf [--drafts FILE.gguf,...] [--draft-tokens 4,8,15] [--tokens N] [--max-memory DEVICE=SIZE,...] [--offload stream] [--context N]";

    private const int PromptLength = CountingText.Circle + 4; // once around, so that lookup finds what follows

    private sealed record Answer(int[] Ids, double TokensPerSecond, int Drafted, int Accepted);

    /// <returns>1 if an answer differs from the one without guesses.</returns>
    public static async Task<int> RunAsync(string path, string[] rest, TextWriter output, CancellationToken cancel)
    {
        Arguments arguments = new Arguments(rest).Only("--drafts", "--draft-tokens", "--tokens", "--max-memory", "--offload", "--context");
        int[] most = [.. arguments.List("--draft-tokens", "4,8,15").Select(int.Parse)];
        int tokens = arguments.Number("--tokens", 65), different = 0;
        var options = new PlanOptions
        {
            MaxMemory = arguments.Has("--max-memory") ? MemoryLimits.Parse(arguments.Text("--max-memory", "")) : null,
            Offload = Enum.Parse<OffloadMode>(arguments.Text("--offload", "stream"), ignoreCase: true),
            ContextLength = arguments.Number("--context", 1024),
        };
        Answer plain;
        await using (BigModel model = await BigModel.LoadAsync(path, options, cancel: cancel))
        {
            output.WriteLine($"{Path.GetFileNameWithoutExtension(path)}, {tokens} tokens: {Describe(model.Plan)}");
            plain = await AnswerAsync(model, null, tokens, cancel);
            output.WriteLine($"no guesses: {plain.TokensPerSecond:0.00} tokens/s");
            await CompareAsync("lookup", model, null);
        }
        foreach (string file in arguments.List("--drafts", ""))
        {
            Machine machine = Machine.Probe();
            Checkpoint checkpoint = Checkpoint.Open(path), small = Checkpoint.Open(file);
            // As nbm does: the draft whole, and the model in what that leaves.
            Plan guessing = small.Plan(machine, options with { Offload = OffloadMode.Cpu });
            await using BigModel draft = await BigModel.LoadAsync(small, guessing, cancel: cancel);
            await using BigModel model = await BigModel.LoadAsync(checkpoint, checkpoint.Plan(machine.Beside(guessing), options with { MaxMemory = options.MaxMemory?.Beside(guessing) }), cancel: cancel);
            string name = Path.GetFileNameWithoutExtension(file);
            output.WriteLine($"beside {name}, {Describe(guessing)}: {Describe(model.Plan)}");
            await CompareAsync(name, model, draft);
        }
        return different > 0 ? 1 : 0;

        async Task CompareAsync(string guesser, BigModel model, BigModel? draft)
        {
            foreach (int number in most)
            {
                Answer guessed = await AnswerAsync(model, new() { Draft = draft, MaxTokens = number }, tokens, cancel);
                bool same = guessed.Ids.SequenceEqual(plain.Ids);
                different += same ? 0 : 1;
                output.WriteLine($"{guesser}, {number} at a time: {guessed.TokensPerSecond:0.00} tokens/s, {guessed.TokensPerSecond / plain.TokensPerSecond:0.00} times; {guessed.Accepted} of {guessed.Drafted} guesses right, {(tokens - 1.0) / (tokens - 1 - guessed.Accepted):0.0} tokens a pass; {(same ? "same text" : "ANOTHER TEXT")}");
            }
        }
    }

    // What passes of so many tokens take the first time is not counted: two of them come before.
    private static async Task<Answer> AnswerAsync(BigModel model, SpeculationOptions? speculation, int tokens, CancellationToken cancel)
    {
        await SayAsync(model, speculation, 2 * ((speculation?.MaxTokens ?? 0) + 1) + 1, cancel);
        return await SayAsync(model, speculation, tokens, cancel);
    }

    private static async Task<Answer> SayAsync(BigModel model, SpeculationOptions? speculation, int tokens, CancellationToken cancel)
    {
        var options = new GenerateOptions { Temperature = 0, MaxNewTokens = tokens, IgnoreEndOfGeneration = true, ReusePrefix = false, Speculation = speculation };
        int[] prompt = [.. Enumerable.Range(0, PromptLength).Select(i => i % CountingText.Circle)];
        var ids = new List<int>();
        GenerationStep? last = null;
        await foreach (GenerationStep step in model.GenerateAsync(prompt, options, cancel))
        {
            ids.Add(step.Token);
            last = step;
        }
        return new([.. ids], (ids.Count - 1) / last!.Elapsed.TotalSeconds, last.DraftedTokens, last.AcceptedTokens);
    }

    private static string Describe(Plan plan) =>
        $"{plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes) / 1e9:0.00} of {plan.WeightBytes / 1e9:0.00} GB streamed, {string.Join(" and ", plan.Devices.Where(device => device.TotalBytes > 0).Select(device => $"{device.TotalBytes / 1e9:0.00} GB on {DeviceName.Label(device.Name)}"))}";
}
