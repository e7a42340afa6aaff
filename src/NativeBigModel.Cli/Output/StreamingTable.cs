using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>What the tokens of a run streamed, as a person reads it.</summary>
internal static class StreamingTable
{
    /// <param name="stats">What was streamed after the prompt; null where the plan streams nothing.</param>
    /// <param name="last">The last step.</param>
    /// <param name="tokens">Tokens generated.</param>
    /// <param name="console">Where to.</param>
    /// <param name="more">What else is to be said, by name.</param>
    public static void Print(StreamingStats? stats, GenerationStep last, int tokens, IAnsiConsole console, params ReadOnlySpan<(string Name, string Value)> more)
    {
        if (stats is { Timed: true }) console.Write(Groups(stats, Math.Max(1, tokens - 1)));
        var grid = new Grid().AddColumn(new GridColumn().PadRight(2)).AddColumn();
        void Row(string name, string value) => grid.AddRow($"[grey]{name}[/]", Markup.Escape(value));
        Row("prompt", $"{last.Prefill.TotalSeconds:0.000} s");
        if (tokens > 1) Row("each token", $"{last.Elapsed.TotalSeconds / (tokens - 1):0.0000} s");
        if (last.DraftedTokens > 0) Row("guessed", $"{last.DraftedTokens} tokens, {last.AcceptedTokens} of them right");
        if (stats is null) Row("streamed", "nothing: every layer is where it is computed");
        else
        {
            Row("ring", $"{ByteSize.Format(stats.RingBytes)} for {stats.Groups.Count} groups");
            if (stats.BytesFromHost > 0) Row("from memory", $"{ByteSize.Format(stats.BytesFromHost)}{(stats.Pinned ? ", pinned" : "")}");
            if (stats.BytesFromFile > 0) Row("from disk", ByteSize.Format(stats.BytesFromFile));
            if (stats.LinkedBytes > 0) Row("experts", $"{ByteSize.Format(stats.LinkedBytes)} read in memory over the link");
            if (stats.Carried > 0) Row("activations", $"{stats.Carried} brought beside the copies");
            if (stats.Speed is { } speed) Row("speed", $"{Rate(speed)} while layers came{(stats.PeakSpeed is { } peak ? $"; the quickest came at {Rate(peak)}" : "")}");
            Row("held up by", stats.Bottleneck switch
            {
                StreamingBottleneck.Link => $"the link: computing waited {stats.WaitTime.TotalSeconds:0.000} s for layers from memory",
                StreamingBottleneck.Disk => $"the disk: computing waited {stats.WaitTime.TotalSeconds:0.000} s for layers from it",
                StreamingBottleneck.Computing => "computing: layers came in time",
                _ => "unknown: the device does not tell",
            });
        }
        foreach ((string name, string value) in more) Row(name, value);
        console.Write(grid);
    }

    // Neighbours of one size and one place are one row: most models have a few kinds of layers. What is shared comes matrix by matrix, and each kind of them is neighbours here.
    private static Table Groups(StreamingStats stats, int passes)
    {
        bool several = stats.Groups.Select(group => group.Device).Distinct().Count() > 1;
        var table = new Table().Border(TableBorder.Rounded).AddColumn("group").AddColumn("from");
        if (several) table.AddColumn("to");
        foreach (string name in (string[])["bytes", "loads", "ms each", "GB/s", "ms waited/token"]) table.AddColumn(new TableColumn(name).RightAligned());
        var alike = new List<StreamedGroup>();
        foreach (StreamedGroup group in stats.Groups.OrderBy(group => group.Shared ? group.Name[(group.Name.LastIndexOf('.') + 1)..] : "", StringComparer.Ordinal))
        {
            if (alike is [var first, ..] && (first.Device, first.HostBytes, first.FileBytes, first.Shared) != (group.Device, group.HostBytes, group.FileBytes, group.Shared)) Flush();
            alike.Add(group);
        }
        Flush();
        return table;

        void Flush()
        {
            if (alike.Count == 0) return;
            (StreamedGroup first, long loads, double timed) = (alike[0], alike.Sum(group => group.Loads), alike.Sum(group => (double)group.TimedBytes));
            double seconds = alike.Sum(group => group.LoadTime.TotalSeconds), waited = alike.Sum(group => group.WaitTime.TotalSeconds) / passes;
            table.AddRow([
                alike.Count == 1 ? first.Name : $"{first.Name} to {alike[^1].Name}",
                first.Shared ? "memory, shared" : first.FileBytes == 0 ? "memory" : first.HostBytes == 0 ? "disk" : "memory, disk",
                .. several ? [DeviceName.Label(first.Device)] : Array.Empty<string>(),
                ByteSize.Format(first.Bytes), $"{loads}", timed > 0 ? $"{seconds * first.Bytes / timed * 1e3:0.00}" : "-", seconds > 0 ? $"{timed / seconds / 1e9:0.0}" : "-", $"{waited * 1e3:0.00}"]);
            alike.Clear();
        }
    }

    private static string Rate(double bytesPerSecond) => $"{bytesPerSecond / 1e9:0.0} GB/s";
}
