using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Runtime.Calibration;

namespace NativeBigModel;

/// <summary>How far a calibration is.</summary>
/// <param name="Measuring">What is being measured.</param>
/// <param name="Share">How much is done, 0 to 1.</param>
public sealed record CalibrationProgress(string Measuring, double Share);

/// <summary>Measures how fast this machine moves and multiplies weights, with the engine's own code, and remembers it for the plans to come.</summary>
public static class MachineCalibration
{
    private const long WeightBytes = 1L << 30; // more than any cache
    private const int SmallProcessor = 8; // threads of one whose caches are smaller, and whose memory is slower
    private const int GpuMatrices = 16;

    private static readonly TensorType[] s_types = [TensorType.F16, TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_K];
    private static readonly TimeSpan s_each = TimeSpan.FromSeconds(0.35);
    private static readonly TimeSpan s_together = TimeSpan.FromSeconds(0.8);

    /// <summary>
    /// Measures the machine in under 20 seconds: each GPU's link both ways and its speed with each kind of weights, the CPU's, both at once, and a disk. The result is
    /// kept in the user's cache folder, where <see cref="MachineProbe"/> finds it.
    /// </summary>
    /// <param name="folder">A folder on the disk to measure, where a file of 256 MiB is written and removed; null for the temporary folder.</param>
    /// <param name="progress">Told what is measured.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <exception cref="EngineException">There is no engine, or a device refuses.</exception>
    public static Task<MachineSpeeds> MeasureAsync(string? folder = null, IProgress<CalibrationProgress>? progress = null, CancellationToken cancel = default) =>
        Task.Factory.StartNew(() => Measure(folder ?? Path.GetTempPath(), progress, cancel), cancel, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>The file that keeps the speeds of this machine, or null where none was written.</summary>
    public static string? CacheFile => SpeedCache.File(Machine.Probe().Gpus) is { } file && File.Exists(file) ? file : null;

    private static MachineSpeeds Measure(string folder, IProgress<CalibrationProgress>? progress, CancellationToken cancel)
    {
        EngineLibrary.Load();
        IReadOnlyList<nint> gpus = EngineDevices.Gpus();
        var steps = new Steps(progress, 2 + gpus.Count * 4, cancel);
        Machine machine = Machine.Probe();
        int threads = Environment.ProcessorCount;
        using var cpu = new ComputeBench(EngineDevices.Host(), Math.Min(threads <= SmallProcessor ? WeightBytes / 4 : WeightBytes, machine.HostFreeBytes / 4));
        cpu.SetThreads(threads);
        MatrixSpeeds cpuSpeeds = steps.Next("the CPU", () => Matrices(cpu, 1, cancel));
        var gpuSpeeds = new List<GpuSpeeds>();
        double cpuLeft = MachineSpeeds.Assumed.CpuBesideLink, linkLeft = MachineSpeeds.Assumed.LinkBesideCpu;
        for (int i = 0; i < gpus.Count; i++)
        {
            string name = machine.Gpus[i].Name;
            using var gpu = new ComputeBench(gpus[i], Math.Min(WeightBytes, machine.Gpus[i].FreeBytes / 4));
            double up = steps.Next($"{name}, copies to it", () => gpu.CopySpeed(toDevice: true, Until(s_each, cancel))), down = steps.Next($"{name}, copies from it", () => gpu.CopySpeed(toDevice: false, Until(s_each, cancel)));
            gpuSpeeds.Add(new(name, up, down, steps.Next(name, () => Matrices(gpu, GpuMatrices, cancel))));
            if (i > 0) continue;
            // The loader has a core of its own while layers are streamed.
            cpu.SetThreads(threads > 2 ? threads - 1 : threads);
            (cpuLeft, linkLeft) = steps.Next($"the CPU beside copies to {name}", () => Together(cpu, gpu, cpuSpeeds, up, cancel));
        }
        double disk = steps.Next("the disk", () => DirectRead.Speed(folder, s_together, cancel)) ?? MachineSpeeds.Assumed.DiskBytesPerSecond;
        var speeds = new MachineSpeeds { Measured = true, Gpus = [.. gpuSpeeds], Cpu = cpuSpeeds, CpuBesideLink = cpuLeft, LinkBesideCpu = linkLeft, DiskBytesPerSecond = disk };
        try { SpeedCache.Write(machine.Gpus, speeds); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { progress?.Report(new($"the speeds could not be kept: {error.Message}", 1)); }
        return speeds;
    }

    private static MatrixSpeeds Matrices(ComputeBench bench, int matrices, CancellationToken cancel)
    {
        List<MatrixSpeed> types = [];
        foreach (TensorType type in s_types)
        {
            if (bench.ReadSpeed(type, s_each, cancel) is { } reading && bench.MultiplySpeed(type, matrices, s_each / 2, cancel) is { } multiplying) types.Add(new(type, reading, multiplying));
        }
        if (types.Count == 0) throw new EngineException($"{bench.Name} multiplies by none of {string.Join(", ", s_types)}");
        MatrixSpeed packed = types.FirstOrDefault(type => type.Type == TensorType.Q4_0) ?? types[0];
        double experts = bench.ExpertSpeed(packed.Type, s_each, cancel) is { } speed ? Math.Clamp(speed / packed.BytesPerSecond, 0.05, 1) : 1;
        return new([.. types], experts, bench.LayerSeconds(s_each / 2, cancel));
    }

    // Both for the same time: what each reaches, over what it reaches alone.
    private static (double Cpu, double Link) Together(ComputeBench cpu, ComputeBench gpu, MatrixSpeeds alone, double linkAlone, CancellationToken cancel)
    {
        bool stop = false;
        Task<double> copies = Task.Factory.StartNew(() => gpu.CopySpeed(toDevice: true, () => !Volatile.Read(ref stop)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        double left = 1;
        try
        {
            double[] shares = [.. alone.Types.Where(type => type.Type is TensorType.F16 or TensorType.Q4_0).Select(type => cpu.ReadSpeed(type.Type, s_together, cancel)!.Value / type.BytesPerSecond)];
            if (shares.Length > 0) left = shares.Average();
        }
        finally { Volatile.Write(ref stop, true); }
        double link = copies.GetAwaiter().GetResult() / linkAlone;
        return (Math.Clamp(left, 0.05, 1), Math.Clamp(link, 0.05, 1));
    }

    private static Func<bool> Until(TimeSpan budget, CancellationToken cancel)
    {
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        return () => !cancel.IsCancellationRequested && System.Diagnostics.Stopwatch.GetElapsedTime(started) < budget;
    }

    private sealed class Steps(IProgress<CalibrationProgress>? progress, int count, CancellationToken cancel)
    {
        private int _done;

        public T Next<T>(string measuring, Func<T> measure)
        {
            cancel.ThrowIfCancellationRequested();
            progress?.Report(new(measuring, (double)_done / count));
            T result = measure();
            _done++;
            return result;
        }
    }
}
