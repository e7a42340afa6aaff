using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Runtime.Calibration;

namespace NativeBigModel;

/// <summary>Reads what this machine has.</summary>
public static class MachineProbe
{
    extension(Machine)
    {
        /// <summary>
        /// The GPUs that the engine sees, with the driver's own figures, the free RAM, the cores, and the speeds that <see cref="MachineCalibration"/> measured. Without an engine there
        /// are no GPUs to plan for.
        /// </summary>
        public static Machine Probe()
        {
            GpuDevice[] gpus = [.. Gpus()];
            return new([.. gpus], FreeHostBytes()) { Speeds = SpeedCache.Find(gpus), Cores = ProcessorCores.Usable };
        }
    }

    private static IEnumerable<GpuDevice> Gpus()
    {
        try { EngineLibrary.Load(); }
        catch (EngineException) { return []; }
        return EngineDevices.Gpus().Select(EngineDevices.Describe);
    }

    // The runtime knows the container's limit, its group what of that is taken, and what other processes hold only the system does.
    private static long FreeHostBytes()
    {
        GCMemoryInfo memory = GC.GetGCMemoryInfo();
        long free = memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes;
        if (!OperatingSystem.IsLinux()) return Math.Max(0, free);
        string? line = File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith("MemAvailable:", StringComparison.Ordinal));
        return line is not null && long.TryParse(line.AsSpan("MemAvailable:".Length).Trim().TrimEnd("kB").Trim(), out long kibibytes)
            ? Math.Min(Math.Min(kibibytes * 1024, memory.TotalAvailableMemoryBytes), MemoryGroup.OfThisProcess()?.FreeBytes ?? long.MaxValue)
            : Math.Max(0, free);
    }
}
