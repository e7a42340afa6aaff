using System.CommandLine;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Commands;

internal static class InspectCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        Option<bool> json = CommonOptions.Json();
        var command = new Command("inspect", "Show what a checkpoint is; reads headers only") { path, json };
        command.SetGuardedAction((parsed, _) =>
        {
            Checkpoint checkpoint = Checkpoint.Open(parsed.GetRequiredValue(path));
            ModelShape shape = checkpoint.Describe();
            if (parsed.GetValue(json)) Json.Print(ToJson(checkpoint, shape));
            else Print(checkpoint, shape, Terminal.Console);
            return Task.CompletedTask;
        });
        return command;
    }

    private static object ToJson(Checkpoint checkpoint, ModelShape shape)
    {
        LayerShape layer = shape.Layers[0];
        return new
        {
            checkpoint.Path,
            Format = checkpoint.Format.ToString(),
            shape.Architecture,
            shape.Name,
            Parameters = shape.ParameterCount,
            shape.WeightBytes,
            Layers = shape.Layers.Length,
            shape.EmbeddingLength,
            layer.FeedForwardLength,
            layer.HeadCount,
            layer.KvHeadCount,
            layer.KeyLength,
            shape.VocabularySize,
            shape.ContextLength,
            checkpoint.HasWeights,
            checkpoint.Quantization,
            Files = Files(checkpoint),
            Types = Types(shape).ToDictionary(type => type.Name, type => new { type.Tensors, type.Bytes }),
            checkpoint.Notes,
        };
    }

    private static void Print(Checkpoint checkpoint, ModelShape shape, IAnsiConsole console)
    {
        LayerShape layer = shape.Layers[0];
        var grid = new Grid().AddColumn(new GridColumn().PadRight(2)).AddColumn();
        void Row(string name, string value) => grid.AddRow($"[grey]{name}[/]", Markup.Escape(value));
        Row("model", shape.Name);
        Row("format", $"{checkpoint.Format}, {Files(checkpoint).Count()} file(s){(checkpoint.HasWeights ? "" : ", no weights here")}");
        Row("architecture", shape.Architecture);
        Row("parameters", $"{shape.ParameterCount:N0} in {shape.Tensors.Length} tensors, {ByteSize.Format(shape.WeightBytes)}");
        if (checkpoint.Quantization is { } quantization) Row("stored", $"{quantization}; in the types below unless --type names another");
        Row("types", string.Join(", ", Types(shape).Select(type => $"{type.Name} {ByteSize.Format(type.Bytes)}")));
        Row("layers", $"{shape.Layers.Length}, width {shape.EmbeddingLength}, feed-forward {layer.FeedForwardLength}");
        Row("attention", $"{layer.HeadCount} heads of {layer.KeyLength}, {layer.KvHeadCount} key/value heads");
        Row("vocabulary", $"{shape.VocabularySize:N0}");
        Row("context", $"{shape.ContextLength:N0} tokens");
        foreach (string note in checkpoint.Notes) Row("note", note);
        console.Write(grid);
    }

    private static IEnumerable<string> Files(Checkpoint checkpoint) => checkpoint.StoredTensors.Select(tensor => Path.GetFileName(tensor.File)).Distinct();

    private static IEnumerable<(string Name, int Tensors, long Bytes)> Types(ModelShape shape) =>
        shape.Tensors.GroupBy(tensor => tensor.Type).Select(group => (group.Key.ToString(), group.Count(), group.Sum(tensor => tensor.Bytes)));
}
