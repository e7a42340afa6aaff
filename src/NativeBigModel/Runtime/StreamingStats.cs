using NativeBigModel.Native;

namespace NativeBigModel;

/// <summary>What the speed of streamed layers hangs on.</summary>
public enum StreamingBottleneck
{
    /// <summary>Nothing was streamed yet, or the device does not tell.</summary>
    Unknown,
    /// <summary>Computing waits for layers from host memory.</summary>
    Link,
    /// <summary>Computing waits for layers from disk.</summary>
    Disk,
    /// <summary>Layers come in time; a faster link would not help.</summary>
    Computing,
}

/// <summary>What streaming holds and has done since the model was loaded.</summary>
/// <param name="Groups">The groups of tensors, mostly layers, that take turns in the ring, in the order in which a token passes them.</param>
/// <param name="RingBytes">Device memory of the ring.</param>
/// <param name="HostBytes">Host memory in which streamed weights rest.</param>
/// <param name="Pinned">Whether that memory is pinned for the device.</param>
/// <param name="FileBytes">Bytes of streamed weights that stay on disk.</param>
/// <param name="StagingBytes">Host memory through which they pass.</param>
/// <param name="Loads">Groups brought into the ring.</param>
/// <param name="BytesFromHost">Bytes brought from host memory.</param>
/// <param name="BytesFromFile">Bytes brought from disk.</param>
/// <param name="Timed">
/// Whether the times are known: by the device's own clock for CUDA, by the host's where the CPU computes. Other devices do not tell, and their times are zero.
/// </param>
/// <param name="LoadTime">Time in which groups were brought.</param>
/// <param name="WaitTime">Time that computing stood still for them.</param>
/// <param name="Carried">Activations that went from the CPU to the device beside its copy engine.</param>
public sealed record StreamingStats(
    IReadOnlyList<StreamedGroup> Groups, long RingBytes, long HostBytes, bool Pinned, long FileBytes, long StagingBytes, long Loads, long BytesFromHost, long BytesFromFile,
    bool Timed, TimeSpan LoadTime, TimeSpan WaitTime, long Carried)
{
    private const long NanosecondsPerTick = 100;

    // Of the time in which groups come: waits that are shorter are the ends of layers.
    private const double Noticeable = 0.05;

    /// <summary>Bytes per second at which groups came while they came; null where unknown.</summary>
    public double? Speed => LoadTime > TimeSpan.Zero ? Groups.Sum(group => (double)group.TimedBytes) / LoadTime.TotalSeconds : null;

    /// <summary>Bytes per second of the quickest piece of at least 1 MiB since the model was loaded: what the link or the disk gives when nothing else uses it; null where unknown.</summary>
    public double? PeakSpeed => Groups.Max(group => group.PeakSpeed);

    /// <summary>What a faster one of would make streaming faster.</summary>
    public StreamingBottleneck Bottleneck
    {
        get
        {
            if (LoadTime <= TimeSpan.Zero) return StreamingBottleneck.Unknown;
            if (WaitTime < Noticeable * LoadTime) return StreamingBottleneck.Computing;
            TimeSpan fromDisk = TimeSpan.FromTicks(Groups.Where(group => group.FileBytes > 0).Sum(group => group.WaitTime.Ticks));
            return fromDisk > WaitTime / 2 ? StreamingBottleneck.Disk : StreamingBottleneck.Link;
        }
    }

    /// <summary>What was done after an earlier moment. What streaming holds, and the quickest loads, are those of this one.</summary>
    public StreamingStats Since(StreamingStats earlier)
    {
        ArgumentNullException.ThrowIfNull(earlier);
        return this with
        {
            Groups = [.. Groups.Zip(earlier.Groups, (now, then) => now.Since(then))],
            Loads = Loads - earlier.Loads,
            BytesFromHost = BytesFromHost - earlier.BytesFromHost,
            BytesFromFile = BytesFromFile - earlier.BytesFromFile,
            LoadTime = LoadTime - earlier.LoadTime,
            WaitTime = WaitTime - earlier.WaitTime,
            Carried = Carried - earlier.Carried,
        };
    }

    internal static StreamingStats Of(StreamingDevice device)
    {
        NbmStats stats = device.Stats;
        StreamedGroup[] groups = new StreamedGroup[stats.Groups];
        for (int i = 0; i < groups.Length; i++) groups[i] = StreamedGroup.Of(device.GroupStats((ulong)i));
        return new(
            groups, (long)stats.RingBytes, (long)stats.RamBytes, stats.Pinned != 0, (long)stats.FileBytes, (long)stats.StagingBytes, (long)stats.Loads, (long)stats.BytesFromRam,
            (long)stats.BytesFromFile, stats.Timed != 0, Time(stats.LoadNs), Time(stats.WaitNs), (long)stats.Carried);
    }

    internal static TimeSpan Time(ulong nanoseconds) => TimeSpan.FromTicks((long)nanoseconds / NanosecondsPerTick);
}
