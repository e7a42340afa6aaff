using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli;

/// <summary>A plan as a person reads it: what each device holds, and which layers are there.</summary>
internal static class PlanTable
{
    private const int BarWidth = 12;
    private const int WidthForBars = 90;

    public static void Print(Plan plan, ModelShape shape, IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"[bold]{plan.Model}[/]  {shape.Architecture}, {Count(shape.ParameterCount)} parameters, {shape.Layers.Length} layers");
        console.MarkupLineInterpolated($"weights {ByteSize.Format(plan.WeightBytes)} ({TypeName(plan)}), KV cache {ByteSize.Format(plan.KvBytes)} ({plan.ContextLength} tokens, {plan.KvType})");
        var table = new Table().Border(TableBorder.Rounded);
        table.AddColumn(new TableColumn("device").NoWrap());
        foreach (string amount in (string[])["weights", "KV cache", "total", "limit"]) table.AddColumn(new TableColumn(amount).RightAligned().NoWrap());
        table.AddColumn(new TableColumn("used").NoWrap());
        table.AddColumn(new TableColumn("layers"));
        bool bars = console.Profile.Width >= WidthForBars;
        foreach (DevicePlan device in plan.Devices)
        {
            table.AddRow(
                Label(device.Name),
                ByteSize.Format(device.WeightBytes),
                ByteSize.Format(device.KvBytes),
                ByteSize.Format(device.TotalBytes),
                device.LimitBytes is { } limit ? ByteSize.Format(limit) : "-",
                Share(device, bars),
                Runs(plan, layer => layer.Device == device.Name));
        }
        console.Write(table);
        foreach (IGrouping<(string Device, string ComputeDevice), LayerPlacement> streamed in plan.Layers.Where(layer => layer.Streamed).GroupBy(layer => (layer.Device, layer.ComputeDevice)))
        {
            DevicePlan ring = plan.Devices.First(device => device.Name == streamed.Key.ComputeDevice);
            console.MarkupLineInterpolated($"{Runs(plan, layer => layer.Streamed && layer.Device == streamed.Key.Device)} streamed from {streamed.Key.Device} to {Label(ring.Name)} through a ring of {plan.RingSlots} slots, {ByteSize.Format(ring.RingBytes)}");
        }
    }

    private static string TypeName(Plan plan) => plan.WeightType == WeightType.AsStored ? "as stored" : plan.WeightType.ToString();

    private static string Label(string device) => DeviceName.GpuIndex(device) is { } index ? $"GPU {index}" : device;

    private static string Share(DevicePlan device, bool bar)
    {
        if (device.LimitBytes is not > 0) return "";
        double share = (double)device.TotalBytes / device.LimitBytes.Value;
        int filled = (int)Math.Clamp(Math.Round(share * BarWidth), share > 0 ? 1 : 0, BarWidth);
        return (bar ? $"[green]{new string('█', filled)}[/][grey]{new string('░', BarWidth - filled)}[/] " : "") + $"{share * 100,3:0}%";
    }

    private static string Runs(Plan plan, Func<LayerPlacement, bool> belongs)
    {
        var parts = new List<string>();
        for (int i = 0; i < plan.Layers.Length; i++)
        {
            if (!belongs(plan.Layers[i])) continue;
            int last = i;
            while (last + 1 < plan.Layers.Length && belongs(plan.Layers[last + 1]) && IsBlock(plan.Layers[i]) == IsBlock(plan.Layers[last + 1])) last++;
            parts.Add(!IsBlock(plan.Layers[i]) ? plan.Layers[i].Name : last == i ? Number(plan.Layers[i]) : $"{Number(plan.Layers[i])}-{Number(plan.Layers[last])}");
            i = last;
        }
        return string.Join(", ", parts);
    }

    private static bool IsBlock(LayerPlacement layer) => layer.Name.StartsWith("blk.", StringComparison.Ordinal);

    private static string Number(LayerPlacement layer) => layer.Name["blk.".Length..];

    private static string Count(long parameters) => parameters switch
    {
        >= 1_000_000_000 => $"{parameters / 1e9:0.#} B",
        >= 1_000_000 => $"{parameters / 1e6:0.#} M",
        _ => $"{parameters}",
    };
}
