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
    private const long CpuBytes = 2L << 30, SmallCpuBytes = 256L << 20, GpuBytes = 1L << 30; // several times what their caches hold
    private const int SmallProcessor = 8; // threads of one whose caches are smaller, and whose memory is slower
    private const double Better = 1.03; // what a thread more must bring
    private const int BesideTurns = 5; // of the CPU alone and beside a link
    private const double BesideEach = 0.3; // of the time that other things are measured for

    private static readonly TensorType[] s_types = [TensorType.F16, TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_K];
    private static readonly TensorType[] s_read = [TensorType.F16, TensorType.Q4_0]; // limited by the memory and by the cores
    private static readonly TimeSpan s_each = TimeSpan.FromSeconds(0.2);

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
        MachineSpeeds speeds = Measure(gpus, folder, s_each, progress, cancel);
        try { SpeedCache.Write(gpus.Select(EngineDevices.Describe), speeds); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { progress?.Report(new($"the speeds could not be kept: {error.Message}", 1)); }
        return speeds;
    }

    /// <summary>Measures these GPUs, as ggml_backend_dev_t of the loaded engine, for about so long each; keeps nothing.</summary>
    internal static MachineSpeeds Measure(IReadOnlyList<nint> gpus, string folder, TimeSpan each, IProgress<CalibrationProgress>? progress, CancellationToken cancel)
    {
        var steps = new Steps(progress, 8 + gpus.Count * 4, cancel);
        long free = Machine.Probe().HostFreeBytes;
        int cores = ProcessorCores.Usable, logical = Environment.ProcessorCount;
        using var cpu = new ComputeBench(EngineDevices.Host(), Math.Min(logical <= SmallProcessor ? SmallCpuBytes : CpuBytes, free / 4));
        int threads = steps.Next("the CPU's threads", () => Fastest([cores, logical], count => Reading(cpu, count, each / 2, cancel).Average()));
        cpu.SetThreads(threads);
        // At several moments: other programs begin and end, and on a shared machine what they leave of its memory differs by a third within a minute.
        var moments = new List<MatrixSpeeds>();
        void MeasureCpu(string step)
        {
            cpu.SetThreads(threads);
            moments.Add(steps.Next(step, () => cpu.Speeds(s_types, each / 1.5, cancel)));
        }
        MeasureCpu("the CPU");
        var links = new List<PinnedCopies>();
        try
        {
            var gpuSpeeds = new List<GpuSpeeds>();
            var measured = new Dictionary<(string, long), MatrixSpeeds>();
            foreach (nint device in gpus)
            {
                GpuDevice gpu = EngineDevices.Describe(device);
                PinnedCopies link = new(device, free / 8);
                links.Add(link);
                double up = steps.Next($"{gpu.Name}, copies to it", () => link.Speed(toDevice: true, Until(each, cancel))), down = steps.Next($"{gpu.Name}, copies from it", () => link.Speed(toDevice: false, Until(each, cancel)));
                // Cards of one make are one as fast as the other; their links need not be.
                MatrixSpeeds matrices = steps.Next(gpu.Name, () => measured.GetValueOrDefault((gpu.Description, gpu.TotalBytes)) ?? Gpu(device, gpu, each, cancel));
                measured[(gpu.Description, gpu.TotalBytes)] = matrices;
                gpuSpeeds.Add(new(gpu.Name, up, down, matrices));
            }
            Beside? beside = links.Count == 0 ? null : steps.Next($"the CPU beside copies to {gpuSpeeds[0].Name}", () => Together(cpu, links[0], threads, gpuSpeeds[0].ToDevice, each, cancel));
            double[] atOnce = links.Count < 2 ? [] : steps.Next("copies to all GPUs at once", () => AtOnce(links, each, cancel));
            MeasureCpu("the CPU once more");
            double? disk = steps.Next("the disk", () => DirectRead.Speed(folder, each * 2, cancel));
            MeasureCpu("the CPU a third time");
            MatrixSpeeds cpuSpeeds = HostBench.Typical(moments);
            cpuSpeeds = steps.Next("layers on the CPU", () => LayerBench.OfHost(cpuSpeeds, threads, free - cpu.WeightBytes, each, cancel));
            MatrixSpeeds ownLayouts = steps.Next("the CPU's own layouts", () => HostBench.OwnLayouts(cpuSpeeds, moments[^1], cpu.WeightBytes / 2, threads, each, cancel));
            MachineSpeeds assumed = MachineSpeeds.Assumed;
            var speeds = new MachineSpeeds
            {
                Measured = true,
                Gpus = [.. gpuSpeeds.Select((gpu, i) => gpu with { ToDeviceTogether = i < atOnce.Length ? atOnce[i] : null })],
                Cpu = cpuSpeeds,
                CpuOwnLayouts = ownLayouts,
                Threads = threads,
                ThreadsBesideLink = beside?.Threads,
                CpuBesideLink = beside?.Cpu ?? assumed.CpuBesideLink,
                CpuUnpackingBesideLink = beside?.CpuUnpacking,
                LinkBesideCpu = beside?.Link ?? assumed.LinkBesideCpu,
                DiskBytesPerSecond = disk ?? assumed.DiskBytesPerSecond,
            };
            double?[] crossings = [.. gpus.Select((gpu, i) => steps.Next($"{gpuSpeeds[i].Name} and the CPU in turn", () => LayerBench.Crossing(gpu, speeds with { Gpus = [speeds.Gpus[i]] }, free - cpu.WeightBytes, each, cancel)))];
            return speeds with { Gpus = [.. speeds.Gpus.Select((gpu, i) => gpu with { CrossingSeconds = crossings[i] })] };
        }
        finally
        {
            foreach (PinnedCopies link in links) link.Dispose();
        }
    }

    private static MatrixSpeeds Gpu(nint device, GpuDevice gpu, TimeSpan each, CancellationToken cancel)
    {
        using var bench = new ComputeBench(device, Math.Min(GpuBytes, gpu.FreeBytes / 4));
        bench.SetThreads(ProcessorCores.Usable); // of one that computes on the CPU
        return LayerBench.OfGpu(device, bench.Speeds(s_types, each, cancel), gpu.FreeBytes - bench.WeightBytes, each, cancel);
    }

    // What each reaches over what it reaches alone in the same moment: in turn, and the middle of several.
    private static Beside Together(ComputeBench cpu, PinnedCopies link, int threads, double linkAlone, TimeSpan each, CancellationToken cancel)
    {
        var links = new List<double>();
        var shares = new Dictionary<int, List<double[]>>();
        for (int turn = 0; turn < BesideTurns; turn++)
        {
            double[] alone = Reading(cpu, threads, each * BesideEach, cancel);
            bool stop = false;
            Task<double> copies = Start(() => link.Speed(toDevice: true, () => !Volatile.Read(ref stop)));
            try
            {
                foreach (int count in ((int[])[Math.Max(1, threads - 1), threads]).Distinct())
                {
                    if (!shares.TryGetValue(count, out List<double[]>? of)) shares.Add(count, of = []);
                    of.Add([.. Reading(cpu, count, each * BesideEach, cancel).Zip(alone, static (beside, by) => beside / by)]);
                }
            }
            finally
            {
                Volatile.Write(ref stop, true);
                Task.WaitAny([copies], CancellationToken.None); // whoever cancels frees what they use
            }
            links.Add(copies.GetAwaiter().GetResult() / linkAlone);
        }
        static double Middle(IEnumerable<double> values) => Math.Clamp(values.Order().ElementAt(BesideTurns / 2), ComputeBench.LeastShare, 1);
        double[] Left(int count) => [.. shares[count][0].Select((_, type) => Middle(shares[count].Select(share => share[type])))];
        int best = Fastest(shares.Keys, count => Left(count).Average());
        return new(best, Left(best)[0], Left(best)[^1], Middle(links));
    }

    private static double[] AtOnce(IReadOnlyList<PinnedCopies> links, TimeSpan each, CancellationToken cancel)
    {
        Func<bool> goOn = Until(each * 1.5, cancel);
        return Task.WhenAll(links.Select(link => Start(() => link.Speed(toDevice: true, goOn)))).GetAwaiter().GetResult();
    }

    private static Task<double> Start(Func<double> copy) => Task.Factory.StartNew(copy, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    private static double[] Reading(ComputeBench cpu, int threads, TimeSpan each, CancellationToken cancel)
    {
        cpu.SetThreads(threads);
        return [.. s_read.Select(type => cpu.ReadSpeed(type, each, cancel)).OfType<double>()];
    }

    // The fewest threads that are nearly as fast as any.
    private static int Fastest(IEnumerable<int> counts, Func<int, double> speed)
    {
        (int Count, double Speed)[] tried = [.. counts.Distinct().Order().Select(count => (count, speed(count)))];
        return tried.First(one => one.Speed * Better >= tried.Max(other => other.Speed)).Count;
    }

    private static Func<bool> Until(TimeSpan budget, CancellationToken cancel)
    {
        long started = System.Diagnostics.Stopwatch.GetTimestamp();
        return () => !cancel.IsCancellationRequested && System.Diagnostics.Stopwatch.GetElapsedTime(started) < budget;
    }

    private sealed record Beside(int Threads, double Cpu, double CpuUnpacking, double Link);

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
