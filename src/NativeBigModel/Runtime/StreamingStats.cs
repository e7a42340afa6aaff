using NativeBigModel.Native;

namespace NativeBigModel;

/// <summary>What streaming holds and has done since the model was loaded.</summary>
/// <param name="Groups">Groups of tensors, mostly layers, that take turns in the ring.</param>
/// <param name="RingBytes">Device memory of the ring.</param>
/// <param name="HostBytes">Host memory in which streamed weights rest.</param>
/// <param name="Pinned">Whether that memory is pinned for the device.</param>
/// <param name="FileBytes">Bytes of streamed weights that stay on disk.</param>
/// <param name="StagingBytes">Host memory through which they pass.</param>
/// <param name="Loads">Groups brought into a slot.</param>
/// <param name="BytesFromHost">Bytes brought from host memory.</param>
/// <param name="BytesFromFile">Bytes brought from disk.</param>
/// <param name="LoadTime">Time that the loader spent reading and handing copies to the device.</param>
/// <param name="WaitTime">Time that computing waited for a group.</param>
/// <param name="Carried">Activations that went from the CPU to the device beside its copy engine.</param>
public sealed record StreamingStats(
    int Groups, long RingBytes, long HostBytes, bool Pinned, long FileBytes, long StagingBytes, long Loads, long BytesFromHost, long BytesFromFile, TimeSpan LoadTime, TimeSpan WaitTime, long Carried)
{
    private const long NanosecondsPerTick = 100;

    internal static StreamingStats Of(NbmStats stats) => new(
        (int)stats.Groups, (long)stats.RingBytes, (long)stats.RamBytes, stats.Pinned != 0, (long)stats.FileBytes, (long)stats.StagingBytes, (long)stats.Loads,
        (long)stats.BytesFromRam, (long)stats.BytesFromFile, TimeSpan.FromTicks((long)stats.LoadNs / NanosecondsPerTick), TimeSpan.FromTicks((long)stats.WaitNs / NanosecondsPerTick), (long)stats.Carried);
}
