using System.CommandLine;
using System.Runtime.InteropServices;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli.Commands;

internal static class LogitsCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var ids = new Option<string>("--ids") { Description = "Token ids, such as 1,2,3", HelpName = "1,2,3", Required = true };
        var encoderIds = new Option<string?>("--encoder-ids") { Description = "Token ids that the encoder reads, where there is one; --ids are the decoder's then", HelpName = "1,2,3" };
        var output = new Option<string>("--out") { Description = "File for the logits: float32, little endian, [tokens, vocabulary]", HelpName = "F", Required = true };
        var placement = new PlacementOptions(choosesCache: false);
        Option<bool> json = CommonOptions.Json();
        var command = new Command("logits", "Write the logits at every position, with a float32 KV cache and nothing approximated") { path, ids, encoderIds, output };
        placement.AddTo(command);
        command.Add(json);
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            int[] tokens = CommonOptions.ParseIds("--ids", parsed.GetRequiredValue(ids));
            int[]? encoded = parsed.GetValue(encoderIds) is { } list ? CommonOptions.ParseIds("--encoder-ids", list) : null;
            PlanOptions options = placement.Read(parsed) with { KvType = TensorType.F32, FlashAttention = false, ContextLength = Math.Max(1, Math.Max(tokens.Length, encoded?.Length ?? 0)) };
            using var progress = new ProgressLine("loading");
            await using BigModel model = await BigModel.LoadAsync(parsed.GetRequiredValue(path), options, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            string file = Path.GetFullPath(parsed.GetRequiredValue(output)), partial = $"{file}.{Guid.NewGuid():N}.partial";
            try
            {
                await using (FileStream stream = File.Create(partial))
                {
                    IAsyncEnumerable<float[]> rows = encoded is null ? model.ComputeLogitsAsync(tokens, cancel) : model.ComputeLogitsAsync(encoded, tokens, cancel);
                    await foreach (float[] row in rows.ConfigureAwait(false)) stream.Write(MemoryMarshal.AsBytes(row.AsSpan()));
                }
                File.Move(partial, file, overwrite: true);
            }
            finally { File.Delete(partial); }
            if (parsed.GetValue(json)) Json.Print(new { Path = file, Shape = (int[])[tokens.Length, model.Tokenizer.TokenCount] });
            else Console.Out.WriteLine($"{file}: [{tokens.Length}, {model.Tokenizer.TokenCount}] float32");
        });
        return command;
    }
}
