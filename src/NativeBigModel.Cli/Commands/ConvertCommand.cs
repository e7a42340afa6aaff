using System.CommandLine;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli.Commands;

internal static class ConvertCommand
{
    private const string Half = "auto";

    public static Command Create()
    {
        var source = new Argument<string>("DIR") { Description = "A Hugging Face folder (or a GGUF file of floats)" };
        var output = new Argument<string>("OUT") { Description = "The GGUF file to make; of a GGUF file also a Hugging Face folder, which has no .gguf in its name", HelpName = "OUT.gguf" };
        var type = new Option<string?>("--type") { Description = $"F32, F16, BF16, Q8_0, Q6_K, Q5_K_M, Q4_K_M, Q4_0, IQ4_XS, ..., or {Half} for the 16-bit float that loses least; as stored unless given", HelpName = "T" };
        var tensorTypes = new Option<string[]>("--tensor-type") { Description = "Another type for the weights whose GGUF names match a regular expression; may be given more than once, the first that matches decides", HelpName = "PATTERN=TYPE" };
        Option<string[]> lora = CommonOptions.Lora();
        var importance = new Option<string?>("--imatrix") { Description = "What matters to the model, from llama-imatrix; IQ3_XXS and smaller types need it", HelpName = "FILE" };
        var metadata = new Option<string[]>("--metadata") { Description = "Set a key of the file's header; may be given more than once", HelpName = "KEY=VALUE" };
        var split = new Option<string?>("--split-max-size") { Description = "Write several files of at most this size, OUT-00001-of-0000N.gguf", HelpName = "SIZE" };
        var dryRun = new Option<bool>("--dry-run") { Description = "Say what would be written, to the byte, and write nothing" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("convert", "Write a checkpoint as a GGUF file, in one pass and little memory") { source, output, type, tensorTypes, lora, importance, metadata, split, dryRun, json };
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(source), parsed.GetValue(lora) ?? []);
            var options = new ConversionOptions
            {
                Type = parsed.GetValue(type) switch
                {
                    null => WeightType.AsStored,
                    var name when name.Equals(Half, StringComparison.OrdinalIgnoreCase) => WeightTypes.HalfOf(checkpoint),
                    var name => WeightTypes.Parse(name),
                },
                TypeOverrides = [.. (parsed.GetValue(tensorTypes) ?? []).Select(TypeOverride.Parse)],
                Importance = parsed.GetValue(importance) is { } matrix ? ImportanceMatrix.Read(matrix) : null,
                Metadata = [.. parsed.GetValue(metadata) ?? []],
                MaxFileBytes = parsed.GetValue(split) is { } size ? ByteSize.Parse(size) : null,
            };
            bool dry = parsed.GetValue(dryRun);
            string path = parsed.GetRequiredValue(output);
            using var progress = new ProgressLine("converting");
            bool toFolder = checkpoint.Format == CheckpointFormat.Gguf && !path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase);
            if (toFolder && parsed.FirstGiven(tensorTypes, importance, metadata, split, dryRun) is { } given)
                throw new InvalidOptionException($"{given}: is for GGUF files, and {path} is a folder");
            ConversionResult result = toFolder ? await FolderConverter.ConvertAsync(checkpoint, path, options.Type, progress, cancel).ConfigureAwait(false)
                : dry ? GgufConverter.Preview(checkpoint, path, options) : await GgufConverter.ConvertAsync(checkpoint, path, options, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            if (parsed.GetValue(json)) Json.Print(ToJson(result, dry));
            else Print(result, dry);
        });
        return command;
    }

    private static object ToJson(ConversionResult result, bool dry) => new
    {
        result.Path,
        result.Bytes,
        DryRun = dry,
        Files = result.Files.Select(file => new { file.Path, file.Bytes }),
        Tensors = result.Tensors.Count,
        Types = result.Tensors.GroupBy(tensor => tensor.Type).ToDictionary(group => group.Key.ToString(), group => group.Count()),
        Losses = result.Losses.ToDictionary(loss => loss.Key.ToString(), loss => loss.Value),
        Seconds = result.Elapsed.TotalSeconds,
    };

    private static void Print(ConversionResult result, bool dry)
    {
        if (dry || result.Files.Count > 1)
        {
            foreach ((string path, long bytes) in result.Files) Console.Out.WriteLine($"{path}: {bytes} bytes");
        }
        string types = string.Join(", ", result.Tensors.GroupBy(tensor => tensor.Type).Select(group => $"{group.Count()} {group.Key}"));
        Console.Out.WriteLine($"{result.Path}: {result.Tensors.Count} tensors ({types}), {ByteSize.Format(result.Bytes)}{(dry ? ", nothing was written" : $", {result.Elapsed.TotalSeconds:0.0} s")}");
        if (result.Losses.Count > 0) Console.Out.WriteLine($"squared error over squared weights, on a sample: {string.Join(", ", result.Losses.OrderBy(loss => loss.Key).Select(loss => $"{loss.Key} {loss.Value:0.0e+00}"))}");
    }
}
