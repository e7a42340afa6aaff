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
        console.MarkupLineInterpolated($"weights {ByteSize.Format(plan.WeightBytes)} ({TypeName(plan)}), KV cache {ByteSize.Format(plan.KvBytes)} ({(plan.Sessions > 1 ? $"{plan.Sessions} x " : "")}{plan.ContextLength} tokens, {plan.KvType}){(plan.Threads is { } threads ? $", {threads} {(threads == 1 ? "thread" : "threads")}" : "")}");
        var table = new Table().Border(TableBorder.Rounded);
        table.AddColumn(new TableColumn("device").NoWrap());
        bool staging = plan.Devices.Any(device => device.StagingBytes > 0);
        foreach (string amount in (string[])["weights", "KV cache", "ring", .. staging ? (string[])["staging"] : [], "compute", "total", "limit"]) table.AddColumn(new TableColumn(amount).RightAligned().NoWrap());
        table.AddColumn(new TableColumn("used").NoWrap());
        table.AddColumn(new TableColumn("layers"));
        bool bars = console.Profile.Width >= WidthForBars;
        foreach (DevicePlan device in plan.Devices)
        {
            table.AddRow(
            [
                DeviceName.Label(device.Name),
                ByteSize.Format(device.WeightBytes),
                ByteSize.Format(device.KvBytes),
                device.RingBytes > 0 ? ByteSize.Format(device.RingBytes) : "-",
                .. staging ? (string[])[device.StagingBytes > 0 ? ByteSize.Format(device.StagingBytes) : "-"] : [],
                ByteSize.Format(device.ComputeBytes),
                ByteSize.Format(device.TotalBytes),
                device.LimitBytes is { } limit ? ByteSize.Format(limit) : "-",
                Share(device, bars),
                Runs(plan, layer => layer.Device == device.Name),
            ]);
        }
        console.Write(table);
        if (!plan.ComputeMeasured) console.MarkupLine("compute buffers are estimated: the engine, or a GPU of the plan, is not here to say");
        string onCpu = Runs(plan, layer => layer.ComputeDevice == DeviceName.Host && !layer.Streamed && layer.IsFeedForward);
        string shared = plan.LinkedExperts == 0 ? "computed by the CPU while the rest streams"
            : plan.LinkedExperts == shape.ExpertUsedCount ? $"in RAM, where a GPU reads the {plan.LinkedExperts} experts that a token uses over its link"
            : $"computed by the CPU and over the link: of the {shape.ExpertUsedCount} experts that a token uses a GPU reads {plan.LinkedExperts} there";
        if (onCpu.Length > 0) console.MarkupLineInterpolated($"{onCpu} {shared}; prompts of {plan.SharedBatchSize} tokens and more stream them too");
        foreach (IGrouping<(string Device, string ComputeDevice), LayerPlacement> streamed in plan.Layers.Where(layer => layer.Streamed).GroupBy(layer => (layer.Device, layer.ComputeDevice)))
        {
            DevicePlan ring = plan.Devices.First(device => device.Name == streamed.Key.ComputeDevice);
            console.MarkupLineInterpolated($"{Runs(plan, layer => layer.Streamed && (layer.Device, layer.ComputeDevice) == streamed.Key)} streamed from {DeviceName.Label(streamed.Key.Device)} to {DeviceName.Label(ring.Name)} through a ring of {ByteSize.Format(ring.RingBytes)}, {plan.RingLayers:0.##} layers");
        }
    }

    /// <summary>The speed to expect, in two lines.</summary>
    public static void PrintSpeed(Prediction predicted, IAnsiConsole console)
    {
        console.MarkupLineInterpolated($"a token: [bold]{Seconds(predicted.DecodeSeconds)}[/] ({predicted.DecodeTokensPerSecond:0.##}/s, {Limit(predicted.DecodeLimit)}); a prompt of {predicted.PromptTokens}: [bold]{Seconds(predicted.PrefillSeconds)}[/] ({predicted.PrefillTokensPerSecond:0} tokens/s, {Limit(predicted.PrefillLimit)}); loading: {Seconds(predicted.LoadSeconds)} from a cold disk");
        console.MarkupLine(predicted.Measured ? "by this machine's measured speeds" : "by the speeds of an ordinary desktop; nbm doctor --calibrate measures this one");
    }

    internal static string Seconds(double seconds) => seconds >= 100 ? $"{seconds:0} s" : seconds >= 0.1 ? $"{seconds:0.00} s" : $"{seconds * 1000:0.0} ms";

    internal static string Limit(PlanResource resource) => resource switch
    {
        PlanResource.Gpu => "the GPU's memory and arithmetic",
        PlanResource.Link => "the link to the GPU",
        PlanResource.Cpu => "the CPU",
        _ => "the disk",
    };

    private static string TypeName(Plan plan) => plan.WeightType == WeightType.AsStored ? "as stored" : plan.WeightType.ToString();

    private static string Share(DevicePlan device, bool bar)
    {
        if (device.LimitBytes is not > 0) return "";
        double share = (double)device.TotalBytes / device.LimitBytes.Value;
        int filled = (int)Math.Clamp(Math.Round(share * BarWidth), share > 0 ? 1 : 0, BarWidth);
        return (bar ? $"[green]{new string('█', filled)}[/][grey]{new string('░', BarWidth - filled)}[/] " : "") + $"{share * 100,3:0}%";
    }

    // 3-7 are whole layers, or in a hybrid plan layers without their feed-forward networks, which stand apart as "ffn 3-7, 9".
    internal static string Runs(Plan plan, Func<LayerPlacement, bool> belongs)
    {
        LayerPlacement[] here = [.. plan.Layers.Where(belongs)];
        string[] whole = [.. Ranges(here.Where(layer => !layer.IsFeedForward).Select(layer => layer.Number).OfType<int>())];
        string[] parts = [.. Ranges(here.Where(layer => layer.IsFeedForward).Select(layer => layer.Number).OfType<int>())];
        return string.Join(", ", [.. here.Where(layer => layer.Name == "input").Select(layer => layer.Name), .. whole, .. parts.Select((range, i) => i == 0 ? $"ffn {range}" : range), .. here.Where(layer => layer.Name == "output").Select(layer => layer.Name)]);
    }

    private static IEnumerable<string> Ranges(IEnumerable<int> ordered)
    {
        (int First, int Last)? run = null;
        foreach (int number in ordered)
        {
            if (run is { } open && number == open.Last + 1) run = (open.First, number);
            else
            {
                if (run is { } closed) yield return Text(closed);
                run = (number, number);
            }
        }
        if (run is { } last) yield return Text(last);

        static string Text((int First, int Last) range) => range.First == range.Last ? $"{range.First}" : $"{range.First}-{range.Last}";
    }

    private static string Count(long parameters) => parameters switch
    {
        >= 1_000_000_000 => $"{parameters / 1e9:0.#} B",
        >= 1_000_000 => $"{parameters / 1e6:0.#} M",
        _ => $"{parameters}",
    };
}
