using System.CommandLine;
using System.Diagnostics;
using System.Text;

namespace NativeBigModel.Cli.Commands;

internal static class RunCommand
{
    public static Command Create()
    {
        var load = new LoadOptions();
        var prompt = new Option<string?>("--prompt") { Description = "The text to go on from", HelpName = "TEXT" };
        var promptIds = new Option<string?>("--prompt-ids") { Description = "The tokens to go on from, as they stand", HelpName = "1,2,3" };
        var encoderIds = new Option<string?>("--encoder-ids") { Description = "The tokens that an encoder reads; the answer goes on from --prompt-ids, if given", HelpName = "1,2,3" };
        var sampling = new SamplingOptions($"{new GenerateOptions().MaxNewTokens}");
        var stats = new Option<bool>("--stats") { Description = "Show what was streamed, and how fast" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("run", "Load a model and generate text");
        load.AddPathTo(command);
        foreach (Option option in (Option[])[prompt, promptIds, encoderIds]) command.Add(option);
        sampling.AddTo(command);
        load.AddTo(command);
        command.Add(stats);
        command.Add(json);
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            bool encodes = parsed.GetValue(encoderIds) is not null;
            if (encodes && parsed.GetValue(prompt) is not null) throw new InvalidOptionException("give either --prompt or --encoder-ids: both are what the encoder reads");
            if (!encodes && parsed.GetValue(prompt) is null == parsed.GetValue(promptIds) is null) throw new InvalidOptionException("give either --prompt or --prompt-ids");
            GenerateOptions generate = sampling.Read(parsed, new GenerateOptions().MaxNewTokens);
            int[]? ids = parsed.GetValue(promptIds) is { } list ? CommonOptions.ParseIds("--prompt-ids", list) : null;
            if (parsed.GetValue(encoderIds) is { } encoded)
            {
                generate = generate with { AnswerStart = [.. ids ?? []] };
                ids = CommonOptions.ParseIds("--encoder-ids", encoded);
            }
            long started = Stopwatch.GetTimestamp();
            using var progress = new ProgressLine("loading");
            await using LoadedModels loaded = await load.LoadAsync(parsed, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            TimeSpan loading = Stopwatch.GetElapsedTime(started);
            await RunAsync(loaded.Model, loading, parsed.GetValue(prompt), ids, generate with { Speculation = loaded.Speculation }, parsed.GetValue(stats), parsed.GetValue(json), cancel).ConfigureAwait(false);
        });
        return command;
    }

    private static async Task RunAsync(BigModel model, TimeSpan loading, string? prompt, int[]? promptIds, GenerateOptions options, bool stats, bool json, CancellationToken cancel)
    {
        int[] tokens = promptIds ?? model.Tokenizer.Encode(prompt!);
        var text = new StringBuilder();
        var ids = new List<int>();
        GenerationStep? last = null;
        StreamingStats? afterPrompt = null;
        await foreach (GenerationStep step in model.GenerateAsync(tokens, options, cancel).ConfigureAwait(false))
        {
            ids.Add(step.Token);
            text.Append(step.Text);
            if (!json) Console.Out.Write(step.Text);
            afterPrompt ??= step.Streaming;
            last = step;
        }
        StreamingStats? streamed = afterPrompt is null ? null : last?.Streaming?.Since(afterPrompt);
        if (!json)
        {
            Console.Out.WriteLine();
            if (stats) StreamingTable.Print(streamed, last!, ids.Count, Terminal.Console);
        }
        else
        {
            Json.Print(new
            {
                Text = text.ToString(),
                Ids = ids,
                PromptIds = tokens,
                FinishReason = Reason(last!.Finish!.Value),
                Plan = PlanJson.Of(model.Plan),
                Streaming = streamed,
                last.DraftedTokens,
                last.AcceptedTokens,
                Timings = new { LoadS = loading.TotalSeconds, PrefillS = last.Prefill.TotalSeconds, DecodeSPerToken = ids.Count > 1 ? last.Elapsed.TotalSeconds / (ids.Count - 1) : 0 },
            });
        }
    }

    internal static string Reason(FinishReason reason) => reason is FinishReason.EndOfGeneration or FinishReason.StopString ? "stop" : "length";
}
