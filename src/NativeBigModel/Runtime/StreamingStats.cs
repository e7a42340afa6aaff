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
/// <param name="Groups">The groups of tensors, mostly layers, that take turns in the rings, device by device, in the order in which a token passes them.</param>
/// <param name="RingBytes">Device memory of the rings.</param>
/// <param name="HostBytes">Host memory in which streamed weights rest.</param>
/// <param name="Pinned">Whether all of that memory is pinned for the device.</param>
/// <param name="FileBytes">Bytes of streamed weights that stay on disk.</param>
/// <param name="StagingBytes">Host memory through which they pass on their way to GPUs; 0 where the CPU computes, into whose ring they are read.</param>
/// <param name="Loads">Groups brought into the ring.</param>
/// <param name="BytesFromHost">Bytes brought from host memory.</param>
/// <param name="BytesFromFile">Bytes brought from disk.</param>
/// <param name="Timed">
/// Whether the times are known: by the device's own clock for CUDA, by the host's where the CPU computes. Other devices do not tell, and their times are zero.
/// </param>
/// <param name="LoadTime">Time in which groups were brought; where several GPUs stream, the sum over their links, which are at work at once.</param>
/// <param name="WaitTime">Time that computing stood still for them.</param>
/// <param name="Carried">Activations that went from the CPU, or from another device, to the device beside its copy engine.</param>
/// <param name="LinkedBytes">Bytes of linked experts (<see cref="Planning.Plan.LinkedExperts"/>) that devices read in host memory, where they rest.</param>
public sealed record StreamingStats(
    IReadOnlyList<StreamedGroup> Groups, long RingBytes, long HostBytes, bool Pinned, long FileBytes, long StagingBytes, long Loads, long BytesFromHost, long BytesFromFile,
    bool Timed, TimeSpan LoadTime, TimeSpan WaitTime, long Carried, long LinkedBytes)
{
    private const long NanosecondsPerTick = 100;

    // Of the time in which groups come: waits that are shorter are the ends of layers.
    private const double Noticeable = 0.05;

    /// <summary>Bytes per second at which groups came while they came, over all links together; null where unknown.</summary>
    public double? Speed => LoadTime > TimeSpan.Zero ? Links.Sum(link => SpeedOf([.. link])) : null;

    /// <summary>
    /// Bytes per second of the quickest piece of at least 1 MiB since the model was loaded, the sum over all links: what they, or the disk, give when nothing else uses them; null
    /// where unknown.
    /// </summary>
    public double? PeakSpeed => Links.Sum(link => link.Max(group => group.PeakSpeed)) is { } sum and > 0 ? sum : null;

    /// <summary>What a faster one of would make streaming faster.</summary>
    public StreamingBottleneck Bottleneck
    {
        get
        {
            if (LoadTime <= TimeSpan.Zero) return StreamingBottleneck.Unknown;
            if (WaitTime < Noticeable * LoadTime / Links.Count()) return StreamingBottleneck.Computing;
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
            LinkedBytes = LinkedBytes - earlier.LinkedBytes,
        };
    }

    private IEnumerable<IGrouping<string, StreamedGroup>> Links => Groups.GroupBy(group => group.Device);

    internal static StreamingStats Of(IReadOnlyDictionary<string, StreamingDevice> streams)
    {
        List<StreamedGroup> groups = [];
        List<NbmStats> all = [];
        foreach ((string name, StreamingDevice device) in streams)
        {
            NbmStats stats = device.Stats;
            for (ulong i = 0; i < stats.Groups; i++) groups.Add(StreamedGroup.Of(device.GroupStats(i), name));
            all.Add(stats);
        }
        long Sum(Func<NbmStats, ulong> of) => all.Sum(stats => (long)of(stats));
        return new(
            groups, Sum(stats => stats.RingBytes), Sum(stats => stats.RamBytes), all.TrueForAll(stats => stats.Pinned != 0 || stats.RamBytes == 0), Sum(stats => stats.FileBytes),
            Sum(stats => stats.StagingBytes), Sum(stats => stats.Loads), Sum(stats => stats.BytesFromRam), Sum(stats => stats.BytesFromFile), all.TrueForAll(stats => stats.Timed != 0),
            Time((ulong)Sum(stats => stats.LoadNs)), Time((ulong)Sum(stats => stats.WaitNs)), Sum(stats => stats.Carried), Sum(stats => stats.LinkBytes));
    }

    private static double SpeedOf(StreamedGroup[] link)
    {
        double seconds = link.Sum(group => group.LoadTime.TotalSeconds);
        return seconds > 0 ? link.Sum(group => (double)group.TimedBytes) / seconds : 0;
    }

    internal static TimeSpan Time(ulong nanoseconds) => TimeSpan.FromTicks((long)nanoseconds / NanosecondsPerTick);
}
