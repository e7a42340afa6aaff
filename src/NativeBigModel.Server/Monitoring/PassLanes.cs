using NativeBigModel.Planning;

namespace NativeBigModel.Server;

/// <summary>Something at work during a pass: <c>gpu</c>, <c>cpu</c>, <c>link</c> or <c>disk</c>, milliseconds since the pass began.</summary>
internal sealed record LaneSegment(string Lane, string Item, double Start, double End);

/// <summary>A pass over the model as it was measured.</summary>
/// <param name="Milliseconds">How long it took.</param>
/// <param name="BytesPerSecond">Streamed bytes over that time; null where nothing is streamed.</param>
/// <param name="CopyBytesPerSecond">Streamed bytes over the time in which they came; null where unknown.</param>
/// <param name="PeakBytesPerSecond">What the link or the disk gave at best; null where unknown.</param>
/// <param name="WaitMilliseconds">How long computing stood still for layers.</param>
/// <param name="HeldUpBy">What a faster one of would help: <c>link</c>, <c>disk</c>, <c>computing</c> or <c>unknown</c>; null where nothing is streamed.</param>
/// <param name="Segments">Who was at work when.</param>
internal sealed record PassReport(
    double Milliseconds, double? BytesPerSecond, double? CopyBytesPerSecond, double? PeakBytesPerSecond, double WaitMilliseconds, string? HeldUpBy, IReadOnlyList<LaneSegment> Segments);

/// <summary>
/// Lays out a pass from what is measured of it: its time, each group's load, and how long computing waited for each. What is left is computing, shared among the layers as
/// the plan's prediction has it. A load ends when it is needed, or before that when the next one begins.
/// </summary>
internal sealed class PassLanes
{
    private readonly TimelineSegment[] _computing;

    public PassLanes(Plan plan, IReadOnlyList<TimelineSegment> predicted)
    {
        TimelineSegment[] computing = [.. predicted.Where(static segment => segment.Resource is PlanResource.Gpu or PlanResource.Cpu && segment.End > segment.Start).OrderBy(static segment => segment.Start)];
        // A pass that a prediction says nothing of: by bytes.
        _computing = computing.Length > 0 ? computing
            : [.. plan.Layers.Where(static layer => layer.WeightBytes > 0).Select(static layer => new TimelineSegment(DeviceName.GpuIndex(layer.ComputeDevice) is null ? PlanResource.Cpu : PlanResource.Gpu, layer.Name, 0, layer.WeightBytes))];
    }

    /// <summary>The report of a pass.</summary>
    /// <param name="time">How long one took.</param>
    /// <param name="passes">Over how many it was measured.</param>
    /// <param name="streamed">What was streamed meanwhile; null where nothing is.</param>
    public PassReport Of(TimeSpan time, int passes, StreamingStats? streamed)
    {
        var groups = (streamed?.Groups ?? []).Where(static group => group.Loads > 0).GroupBy(static group => group.Name).ToDictionary(static same => same.Key, same => (
            Load: same.Sum(static group => group.LoadTime.TotalMilliseconds / group.Loads), Wait: same.Sum(group => group.WaitTime.TotalMilliseconds / passes), Lane: same.Any(static group => group.FileBytes > 0) ? "disk" : "link"));
        double waited = groups.Sum(static group => group.Value.Wait), total = Math.Max(time.TotalMilliseconds, waited);
        double scale = (total - waited) / Math.Max(double.Epsilon, _computing.Sum(static segment => segment.End - segment.Start));
        List<LaneSegment> segments = [];
        List<(string Name, string Lane, double Load, double Needed)> loads = [];
        double now = 0;
        foreach (TimelineSegment segment in _computing)
        {
            string name = Group(segment.Item);
            if (groups.Remove(name, out var group))
            {
                now += group.Wait;
                loads.Add((name, group.Lane, group.Load, now));
            }
            double end = now + (segment.End - segment.Start) * scale;
            segments.Add(new(segment.Resource == PlanResource.Gpu ? "gpu" : "cpu", segment.Item, now, end));
            now = end;
        }
        segments.AddRange(Copies(loads, total));
        double bytes = (streamed?.Groups ?? []).Sum(static group => (double)group.Bytes * group.Loads) / passes;
        return new(total, streamed is null ? null : bytes / total * 1000, streamed?.Speed, streamed?.PeakSpeed, waited, streamed?.Bottleneck.ToString().ToLowerInvariant(), segments);

        string Group(string item) => groups.ContainsKey(item) ? item : groups.Keys.FirstOrDefault(name => item.StartsWith(name + ".", StringComparison.Ordinal)) ?? "";
    }

    // From the last to the first: each ends before it is needed and before the next begins. What would begin before the pass came during the one before.
    private static IEnumerable<LaneSegment> Copies(List<(string Name, string Lane, double Load, double Needed)> loads, double total)
    {
        double next = double.PositiveInfinity;
        for (int i = loads.Count - 1; i >= 0; i--)
        {
            (string name, string lane, double load, double needed) = loads[i];
            double end = Math.Min(needed, next), start = next = end - load;
            if (end > 0) yield return new(lane, name, Math.Max(0, start), end);
            if (start < 0) yield return new(lane, name, Math.Max(0, start + total), Math.Min(end, 0) + total);
        }
    }
}
