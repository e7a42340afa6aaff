using System.Globalization;
using System.Security;
using System.Text;

namespace NativeBigModel.Planning.Exports;

/// <summary>A plan as a picture (SVG 1.1): which layer lies on which device and who computes it, what each device holds, and who is at work while one token is computed.</summary>
public static class PlanPicture
{
    private const double Width = 1000, Left = 110, Right = 20, RowHeight = 34, Gap = 8, LaneHeight = 26;
    private const double Narrow = 3; // segments of fewer pixels are drawn as one with what they touch

    private static readonly (string Kind, string Colour)[] s_kinds =
    [
        ("resident on a GPU", "#2e7d32"), ("computed by the CPU", "#1565c0"), ("streamed from RAM", "#ef6c00"), ("streamed from disk", "#b71c1c"), ("with experts over the link", "#6d4c41"),
    ];

    private static readonly (string Part, string Colour)[] s_parts = [("weights", "#546e7a"), ("KV cache", "#8e24aa"), ("ring", "#f9a825"), ("staging", "#8d6e63"), ("compute", "#00838f")];

    private static readonly (PlanResource Resource, string Name, string Colour)[] s_lanes =
        [(PlanResource.Disk, "disk", "#b71c1c"), (PlanResource.Link, "link", "#ef6c00"), (PlanResource.Cpu, "CPU", "#1565c0"), (PlanResource.Gpu, "GPU", "#2e7d32")];

    /// <summary>Draws a plan.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="speeds">The speeds that its timeline is drawn by.</param>
    public static string Draw(Plan plan, SpeedModel speeds)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(speeds);
        var canvas = new StringBuilder();
        double y = 28;
        Text(canvas, Left, y, $"{plan.Model}: {ByteSize.Format(plan.WeightBytes)} of weights, {plan.ContextLength} tokens of context", bold: true);
        y = DrawLayers(canvas, plan, speeds.Divided(plan), y + 18);
        y = DrawDevices(canvas, plan, y + 26);
        if (speeds.DecodeTimeline(plan) is { Count: > 0 } token) y = DrawToken(canvas, token, plan, y + 26);
        string height = Number(y + 12);
        return $"""<svg xmlns="http://www.w3.org/2000/svg" width="{Number(Width)}" height="{height}" viewBox="0 0 {Number(Width)} {height}" font-family="system-ui, sans-serif" font-size="13"><rect width="100%" height="100%" fill="#ffffff"/>{canvas}</svg>""" + "\n";
    }

    // A row for each device, a column for each item; a column's cell is where its weights rest.
    private static double DrawLayers(StringBuilder canvas, Plan plan, HashSet<string> divided, double y)
    {
        double cell = (Width - Left - Right) / plan.Layers.Length;
        foreach (DevicePlan device in plan.Devices)
        {
            Text(canvas, 12, y + RowHeight / 2 + 5, Label(device.Name));
            Box(canvas, Left, y, Width - Left - Right, RowHeight, "#eceff1", "");
            for (int i = 0; i < plan.Layers.Length; i++)
            {
                LayerPlacement layer = plan.Layers[i];
                if (layer.Device != device.Name) continue;
                (string kind, string colour) = s_kinds[Kind(layer, divided)];
                Box(canvas, Left + i * cell, y, Math.Max(cell - (cell > 4 ? 1 : 0), 0.5), RowHeight, colour, $"{layer.Name}: {ByteSize.Format(layer.WeightBytes)}, {kind}{(layer.KvBytes > 0 ? $", {ByteSize.Format(layer.KvBytes)} of keys and values on {Label(layer.ComputeDevice)}" : "")}{(layer.Reason.Length > 0 ? $"; {layer.Reason}" : "")}");
            }
            y += RowHeight + Gap;
        }
        Text(canvas, Left, y + 8, plan.Layers[0].Name, size: 11);
        Text(canvas, Width - Right, y + 8, plan.Layers[^1].Name, size: 11, anchor: "end");
        return Legend(canvas, s_kinds.Where((_, kind) => plan.Layers.Any(layer => Kind(layer, divided) == kind)), y + 28);
    }

    // What each device holds, on one scale.
    private static double DrawDevices(StringBuilder canvas, Plan plan, double y)
    {
        double most = Math.Max(1, plan.Devices.Max(device => Math.Max(device.TotalBytes, device.LimitBytes ?? 0))), scale = (Width - Left - Right - 170) / most;
        foreach (DevicePlan device in plan.Devices)
        {
            Text(canvas, 12, y + LaneHeight / 2 + 5, Label(device.Name));
            double x = Left;
            long[] bytes = [device.WeightBytes, device.KvBytes, device.RingBytes, device.StagingBytes, device.ComputeBytes];
            for (int i = 0; i < bytes.Length; i++)
            {
                if (bytes[i] > 0) Box(canvas, x, y, bytes[i] * scale, LaneHeight, s_parts[i].Colour, $"{s_parts[i].Part}: {bytes[i]} bytes, {ByteSize.Format(bytes[i])}");
                x += bytes[i] * scale;
            }
            double end = x;
            if (device.LimitBytes is { } limit)
            {
                end = Math.Max(x, Left + limit * scale);
                canvas.Append(CultureInfo.InvariantCulture, $"""<line x1="{Left + limit * scale:0.##}" x2="{Left + limit * scale:0.##}" y1="{y - 3:0.##}" y2="{y + LaneHeight + 3:0.##}" stroke="#000000" stroke-width="1.5"/>""");
            }
            Text(canvas, end + 8, y + LaneHeight / 2 + 5, $"{ByteSize.Format(device.TotalBytes)}{(device.LimitBytes is { } of ? $" of {ByteSize.Format(of)}" : "")}");
            y += LaneHeight + Gap;
        }
        return Legend(canvas, s_parts, y + 14);
    }

    private static double DrawToken(StringBuilder canvas, IReadOnlyList<TimelineSegment> token, Plan plan, double y)
    {
        double end = token.Max(segment => segment.End), scale = (Width - Left - Right) / end;
        string by = plan.Predicted is { Measured: true } ? "measured speeds" : "assumed speeds";
        Text(canvas, Left, y, string.Create(CultureInfo.InvariantCulture, $"one token, by {by}: {end * 1000:0.##} ms"), bold: true);
        y += 10;
        foreach ((PlanResource resource, string name, string colour) in s_lanes)
        {
            IGrouping<string, TimelineSegment>[] devices = [.. token.Where(segment => segment.Resource == resource).GroupBy(segment => segment.Device).OrderBy(device => device.Key, StringComparer.Ordinal)];
            foreach (IGrouping<string, TimelineSegment> device in devices)
            {
                TimelineSegment[] segments = [.. device.OrderBy(segment => segment.Start)];
                Text(canvas, 12, y + LaneHeight / 2 + 5, string.Create(CultureInfo.InvariantCulture, $"{name}{(devices.Length > 1 ? $" {device.Key}" : "")} {segments.Sum(segment => segment.End - segment.Start) / end * 100:0} %"));
                Box(canvas, Left, y, Width - Left - Right, LaneHeight, "#eceff1", "");
                foreach (TimelineSegment segment in Joined(segments, scale))
                {
                    double width = (segment.End - segment.Start) * scale;
                    Box(canvas, Left + segment.Start * scale, y, width > Narrow ? width - 0.7 : Math.Max(width, 0.6), LaneHeight, colour, string.Create(CultureInfo.InvariantCulture, $"{segment.Item}: {(segment.End - segment.Start) * 1000:0.###} ms"));
                }
                y += LaneHeight + Gap;
            }
        }
        return y;
    }

    private static IEnumerable<TimelineSegment> Joined(TimelineSegment[] segments, double scale)
    {
        TimelineSegment? open = null;
        foreach (TimelineSegment segment in segments)
        {
            if (open is not null && (segment.Start - open.End) * scale < 0.5 && (segment.End - segment.Start) * scale < Narrow) open = open with { Item = $"{open.Item.Split(" to ")[0]} to {segment.Item}", End = segment.End };
            else
            {
                if (open is not null) yield return open;
                open = segment;
            }
        }
        if (open is not null) yield return open;
    }

    private static double Legend(StringBuilder canvas, IEnumerable<(string Name, string Colour)> entries, double y)
    {
        double x = Left;
        foreach ((string name, string colour) in entries)
        {
            Box(canvas, x, y - 10, 12, 12, colour, "");
            Text(canvas, x + 17, y, name, size: 12);
            x += 34 + name.Length * 7;
        }
        return y;
    }

    private static int Kind(LayerPlacement layer, HashSet<string> divided) => divided.Contains(layer.Name) ? 4 : layer.Streamed ? (layer.Device == DeviceName.Disk ? 3 : 2) : layer.ComputeDevice == DeviceName.Host ? 1 : 0;

    private static string Label(string device) => device == DeviceName.Host ? "RAM" : DeviceName.Label(device);

    private static void Box(StringBuilder canvas, double x, double y, double width, double height, string colour, string title)
    {
        canvas.Append(CultureInfo.InvariantCulture, $"""<rect x="{x:0.##}" y="{y:0.##}" width="{Math.Max(0, width):0.##}" height="{height:0.##}" fill="{colour}">""");
        if (title.Length > 0) canvas.Append("<title>").Append(SecurityElement.Escape(title)).Append("</title>");
        canvas.Append("</rect>");
    }

    private static void Text(StringBuilder canvas, double x, double y, string text, bool bold = false, int size = 13, string anchor = "start") =>
        canvas.Append(CultureInfo.InvariantCulture, $"""<text x="{x:0.##}" y="{y:0.##}" font-size="{size}" text-anchor="{anchor}"{(bold ? " font-weight=\"600\"" : "")} fill="#212121">{SecurityElement.Escape(text)}</text>""");

    private static string Number(double value) => value.ToString("0.##", CultureInfo.InvariantCulture);
}
