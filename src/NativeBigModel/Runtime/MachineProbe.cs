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

    // What other processes hold the system knows, and what a container may still take its group. The runtime's own figure is a limit of its heap, three quarters of a container's memory; weights are not in that heap.
    private static long FreeHostBytes()
    {
        if (SystemMemory.Bytes("MemAvailable") is { } available) return Math.Min(available, MemoryGroup.OfThisProcess()?.FreeBytes ?? long.MaxValue);
        GCMemoryInfo memory = GC.GetGCMemoryInfo();
        return Math.Max(0, memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes);
    }
}
