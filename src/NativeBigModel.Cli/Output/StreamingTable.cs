using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>What a run streamed, as a person reads it.</summary>
internal static class StreamingTable
{
    public static void Print(BigModel model, GenerationStep last, int tokens, IAnsiConsole console)
    {
        var grid = new Grid().AddColumn(new GridColumn().PadRight(2)).AddColumn();
        void Row(string name, string value) => grid.AddRow($"[grey]{name}[/]", Markup.Escape(value));
        Row("prompt", $"{last.Prefill.TotalSeconds:0.000} s");
        if (tokens > 1) Row("each token", $"{last.Elapsed.TotalSeconds / (tokens - 1):0.0000} s");
        if (model.Streaming is { } stats)
        {
            Row("ring", $"{ByteSize.Format(stats.RingBytes)} for {stats.Groups} groups");
            if (stats.BytesFromHost > 0) Row("from memory", $"{ByteSize.Format(stats.BytesFromHost)}{(stats.Pinned ? ", pinned" : "")}");
            if (stats.BytesFromFile > 0) Row("from disk", $"{ByteSize.Format(stats.BytesFromFile)} at {stats.BytesFromFile / 1e9 / Math.Max(1e-9, stats.LoadTime.TotalSeconds):0.00} GB/s while reading");
            if (stats.Carried > 0) Row("activations", $"{stats.Carried} brought from the CPU beside the copies");
            Row("waited", $"{stats.WaitTime.TotalSeconds:0.000} s for layers to come");
        }
        else Row("streamed", "nothing: every layer is where it is computed");
        console.Write(grid);
    }
}
