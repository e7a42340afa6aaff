using NativeBigModel.Native;

namespace NativeBigModel;

/// <summary>Tensors that pass through the ring together, and what they have cost.</summary>
/// <param name="Name">The layer, as <c>blk.3</c>, or <c>output</c>, and of what is shared the matrix, as <c>blk.3.ffn_up</c>. Where several GPUs stream, a layer may be several groups of one name.</param>
/// <param name="HostBytes">Bytes that rest in host memory.</param>
/// <param name="FileBytes">Bytes that stay on disk.</param>
/// <param name="Shared">Whether the CPU computes with them where they rest, and only large batches stream them.</param>
/// <param name="Loads">Times that they were brought whole.</param>
/// <param name="TimedBytes">Bytes of them that came in <paramref name="LoadTime"/>.</param>
/// <param name="LoadTime">Time in which they came, as far as it is over; zero where <see cref="StreamingStats.Timed"/> is false.</param>
/// <param name="PeakSpeed">Bytes per second of the quickest piece of at least 1 MiB so far, or null.</param>
/// <param name="WaitTime">Time that computing stood still for them.</param>
public sealed record StreamedGroup(string Name, long HostBytes, long FileBytes, bool Shared, long Loads, long TimedBytes, TimeSpan LoadTime, double? PeakSpeed, TimeSpan WaitTime)
{
    /// <summary>The <see cref="Planning.DeviceName"/> of the device whose ring it passes through; empty where nobody said.</summary>
    public string Device { get; init; } = "";

    /// <summary>Bytes of the group.</summary>
    public long Bytes => HostBytes + FileBytes;

    internal static unsafe StreamedGroup Of(NbmGroupStats stats, string device) => new(
        Utf8.Text(stats.Name), (long)stats.RamBytes, (long)stats.FileBytes, stats.Shared != 0, (long)stats.Loads,
        (long)stats.TimedBytes, StreamingStats.Time(stats.LoadNs), stats.Peak > 0 ? stats.Peak : null, StreamingStats.Time(stats.WaitNs)) { Device = device };

    internal StreamedGroup Since(StreamedGroup earlier) =>
        this with { Loads = Loads - earlier.Loads, TimedBytes = TimedBytes - earlier.TimedBytes, LoadTime = LoadTime - earlier.LoadTime, WaitTime = WaitTime - earlier.WaitTime };
}
