using System.CommandLine;
using System.Runtime.InteropServices;
using NativeBigModel.Planning;

namespace NativeBigModel.Cli.Commands;

internal static class EmbedCommand
{
    private const string NoPooling = "none";

    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var text = new Option<string?>("--text") { Description = "The text", HelpName = "TEXT" };
        var ids = new Option<string?>("--ids") { Description = "Token ids in place of a text, as they stand", HelpName = "1,2,3" };
        var pooling = new Option<string?>("--pooling") { Description = "How the tokens' vectors become one, or none for all of them; what the model's authors name unless given", HelpName = "none|mean|cls|last" };
        var normalize = new Option<bool>("--normalize") { Description = "Divide the vector by its length" };
        var output = new Option<string?>("--out") { Description = "File for the vectors: float32, little endian", HelpName = "F" };
        var placement = new PlacementOptions();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("embed", "Turn a text into a vector") { path, text, ids, pooling, normalize, output };
        placement.AddTo(command);
        command.Add(json);
        command.SetGuardedAction(async (parsed, cancel) =>
        {
            if (parsed.GetValue(text) is null == parsed.GetValue(ids) is null) throw new InvalidOptionException("give either --text or --ids");
            Pooling? pool = parsed.GetValue(pooling) is { } name and not NoPooling ? ReadPooling(name) : null;
            bool all = parsed.GetValue(pooling) == NoPooling;
            if (all && parsed.GetValue(normalize)) throw new InvalidOptionException("--normalize: divides one vector, and --pooling none gives one for each token");
            int[]? tokens = parsed.GetValue(ids) is { } list ? CommonOptions.ParseIds("--ids", list) : null;
            PlanOptions options = placement.Read(parsed);
            using var progress = new ProgressLine("loading");
            await using EmbeddingModel model = await EmbeddingModel.LoadAsync(parsed.GetRequiredValue(path), options, progress, cancel).ConfigureAwait(false);
            progress.Dispose();
            tokens ??= model.Tokenizer.Encode(parsed.GetRequiredValue(text)!);
            float[][] vectors = all
                ? await model.ComputeVectorsAsync(tokens, cancel).ConfigureAwait(false)
                : [await model.EmbedAsync(tokens, pool, parsed.GetValue(normalize), cancel).ConfigureAwait(false)];
            string? file = parsed.GetValue(output) is { } given ? Path.GetFullPath(given) : null;
            if (file is not null) Write(file, vectors);
            string named = all ? NoPooling : (pool ?? model.DefaultPooling).ToString().ToLowerInvariant();
            if (parsed.GetValue(json)) Json.Print(new { Ids = tokens, Pooling = named, Shape = (int[])[vectors.Length, model.Length], Path = file, Vectors = file is null ? vectors : null });
            else if (file is not null) Console.Out.WriteLine($"{file}: [{vectors.Length}, {model.Length}] float32");
            else foreach (float[] vector in vectors) Console.Out.WriteLine(string.Join(' ', vector));
        });
        return command;
    }

    private static Pooling ReadPooling(string name) => Enum.TryParse(name, ignoreCase: true, out Pooling pooling) && !int.TryParse(name, out _) ? pooling
        : throw new InvalidOptionException($"--pooling: '{name}' is not one of {NoPooling}, {string.Join(", ", Enum.GetNames<Pooling>()).ToLowerInvariant()}");

    private static void Write(string file, float[][] vectors)
    {
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        try
        {
            using (FileStream stream = File.Create(partial))
            {
                foreach (float[] vector in vectors) stream.Write(MemoryMarshal.AsBytes(vector.AsSpan()));
            }
            File.Move(partial, file, overwrite: true);
        }
        finally { File.Delete(partial); }
    }
}
