using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli.Commands;

internal static class ConvertCommand
{
    public static Command Create()
    {
        var source = new Argument<string>("DIR") { Description = "A Hugging Face folder (or a GGUF file of floats)" };
        var output = new Argument<string>("OUT") { Description = "The GGUF file to make", HelpName = "OUT.gguf" };
        var type = new Option<string?>("--type") { Description = "F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, ...; as stored unless given", HelpName = "T" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("convert", "Write a checkpoint as a GGUF file, in one pass and little memory") { source, output, type, json };
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(source));
            WeightType weights = parsed.GetValue(type) is { } name ? WeightTypes.Parse(name) : WeightType.AsStored;
            using var progress = new ProgressLine("converting");
            ConversionResult result = await GgufConverter.ConvertAsync(checkpoint, parsed.GetRequiredValue(output), weights, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            if (parsed.GetValue(json))
            {
                Json.Print(new
                {
                    result.Path,
                    result.Bytes,
                    Tensors = result.Tensors.Count,
                    Types = result.Tensors.GroupBy(tensor => tensor.Type).ToDictionary(group => group.Key.ToString(), group => group.Count()),
                    Seconds = result.Elapsed.TotalSeconds,
                });
            }
            else Console.Out.WriteLine($"{result.Path}: {result.Tensors.Count} tensors, {ByteSize.Format(result.Bytes)}, {result.Elapsed.TotalSeconds:0.0} s");
        });
        return command;
    }
}
