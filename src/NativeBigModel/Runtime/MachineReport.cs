using System.Collections.Immutable;
using System.Globalization;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Runtime.Calibration;

namespace NativeBigModel;

/// <summary>What a machine has for running models, and what is missing.</summary>
/// <param name="Machine">Devices, free memory, measured speeds.</param>
/// <param name="Gpus">More about each GPU, in the same order.</param>
/// <param name="Processor">Cores that this process may use.</param>
/// <param name="TotalHostBytes">Bytes of RAM.</param>
/// <param name="Group">The control group that limits memory, or null.</param>
/// <param name="PinnableBytes">Bytes of memory that the system lets this process lock; null for no limit, or none known. NVIDIA's driver pins beyond it.</param>
/// <param name="Disks">The disks behind the folders that were asked about.</param>
/// <param name="Engine">The engine.</param>
/// <param name="SpeedsFile">Where the measured speeds are kept; null where none were measured.</param>
public sealed record MachineReport(
    Machine Machine, ImmutableArray<GpuReport> Gpus, ProcessorReport Processor, long TotalHostBytes, MemoryGroup? Group, long? PinnableBytes, ImmutableArray<DiskReport> Disks,
    EngineReport Engine, string? SpeedsFile)
{
    /// <summary>Looks at this machine.</summary>
    /// <param name="folders">Folders or files whose disks matter: a checkpoint, an offload folder.</param>
    public static MachineReport Examine(params IEnumerable<string> folders)
    {
        ArgumentNullException.ThrowIfNull(folders);
        EngineReport engine = EngineReport.Examine();
        Machine machine = Machine.Probe();
        return new(
            machine,
            [.. machine.Gpus.Select((gpu, i) => new GpuReport(gpu.Name, gpu.Description, gpu.FreeBytes, gpu.TotalBytes, gpu.Name.StartsWith("CUDA", StringComparison.Ordinal) ? CudaDriver.ComputeCapability(i) : null, gpu.ReadsHostMemory))],
            new ProcessorReport(machine.Cores ?? Environment.ProcessorCount, Environment.ProcessorCount, System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture.ToString()),
            SystemMemory.Bytes("MemTotal") ?? GC.GetGCMemoryInfo().TotalAvailableMemoryBytes,
            MemoryGroup.OfThisProcess(),
            Pinnable(),
            [.. folders.Select(DiskReport.Of)],
            engine,
            SpeedCache.File(machine.Gpus) is { } file && File.Exists(file) ? file : null);
    }

    // "Max locked memory         8388608              8388608              bytes": RLIMIT_MEMLOCK, soft and hard.
    private static long? Pinnable()
    {
        const string name = "Max locked memory";
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/self/limits").FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) : null;
        string? soft = line?[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return long.TryParse(soft, CultureInfo.InvariantCulture, out long bytes) ? bytes : null;
    }
}

/// <summary>One GPU.</summary>
/// <param name="Name">The engine's name.</param>
/// <param name="Description">The maker's name.</param>
/// <param name="FreeBytes">Bytes that the driver says are free.</param>
/// <param name="TotalBytes">Bytes that it has.</param>
/// <param name="ComputeCapability">NVIDIA's number for its generation; null where the driver does not say.</param>
/// <param name="ReadsHostMemory">Whether its kernels read host memory that is pinned for it, which linked experts need.</param>
public sealed record GpuReport(string Name, string Description, long FreeBytes, long TotalBytes, string? ComputeCapability, bool ReadsHostMemory);

/// <summary>The CPU.</summary>
/// <param name="Cores">Cores that this process may compute on.</param>
/// <param name="Threads">Threads that it may run at once: more where a core runs several.</param>
/// <param name="Architecture">Such as X64.</param>
public sealed record ProcessorReport(int Cores, int Threads, string Architecture);

/// <summary>The disk behind a path.</summary>
/// <param name="Path">The path.</param>
/// <param name="MountedAt">Where the disk is mounted; null where there is no such disk.</param>
/// <param name="FileSystem">Such as ext4.</param>
/// <param name="FreeBytes">Bytes that may still be written.</param>
public sealed record DiskReport(string Path, string? MountedAt, string? FileSystem, long FreeBytes)
{
    internal static DiskReport Of(string path)
    {
        string full = System.IO.Path.GetFullPath(path);
        try
        {
            DriveInfo? drive = DriveInfo.GetDrives().Where(drive => Holds(drive.Name, full)).MaxBy(drive => drive.Name.Length);
            return drive is null ? new(full, null, null, 0) : new(full, drive.Name, drive.DriveFormat, drive.AvailableFreeSpace);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { return new(full, null, null, 0); }
    }

    private static bool Holds(string mount, string path) =>
        path.StartsWith(mount, OperatingSystem.IsWindows() ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal)
        && (mount.EndsWith(System.IO.Path.DirectorySeparatorChar) || path.Length == mount.Length || path[mount.Length] == System.IO.Path.DirectorySeparatorChar);
}

/// <summary>The engine and the plug-in.</summary>
/// <param name="Folder">Where the engine was found; null where none could be loaded.</param>
/// <param name="Version">Its version.</param>
/// <param name="Backends">What it computes with: the loaded backends and their devices.</param>
/// <param name="Libraries">The backend libraries in its folder.</param>
/// <param name="Streams">Whether the streaming plug-in is there.</param>
/// <param name="Problems">What is missing or was refused, one sentence each.</param>
public sealed record EngineReport(string? Folder, string? Version, ImmutableArray<string> Backends, ImmutableArray<string> Libraries, bool Streams, ImmutableArray<string> Problems)
{
    internal static EngineReport Examine()
    {
        List<string> problems = [];
        if (!Works(() => EngineLibrary.Load(), problems)) return new(null, null, [], [], false, [.. problems]);
        bool streams = Works(StreamingLibrary.Load, problems);
        ImmutableArray<string> backends = EngineDevices.Backends();
        if (CudaDriver.HasDevice() && EngineDevices.Gpus().Count == 0) problems.Add("NVIDIA's driver sees a GPU and the engine does not: it is the CPU's build, or CUDA's runtime libraries are missing");
        IEnumerable<string> libraries = Directory.EnumerateFiles(EngineLibrary.Folder!).Select(file => System.IO.Path.GetFileName(file)).Where(file => file.Contains("ggml-", StringComparison.Ordinal) && !EngineFolder.IsGgmlBase(file));
        return new(EngineLibrary.Folder, EngineLibrary.Version, backends, [.. libraries.Order(StringComparer.Ordinal)], streams, [.. problems]);
    }

    private static bool Works(Action load, List<string> problems)
    {
        try
        {
            load();
            return true;
        }
        catch (EngineException error)
        {
            problems.Add(error.Message);
            return false;
        }
    }
}
