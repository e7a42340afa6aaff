using System.Text.Json;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Runtime.Calibration;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Measuring a machine, with devices that wrap the CPU in the place of GPUs.</summary>
[Collection(EngineGroup.Name)]
public class CalibrationTests
{
    private static readonly TimeSpan s_short = TimeSpan.FromMilliseconds(10);

    [Fact]
    public void Two_devices_are_measured_each_alone_and_their_links_together()
    {
        EngineLibrary.Load();
        StreamingDevice first = StreamingDevice.Create(EngineDevices.Host(), ringBytes: 0), second = StreamingDevice.Create(EngineDevices.Host(), ringBytes: 0);
        using (first.Handle)
        using (second.Handle)
        using (var folder = new TempFolder())
        {
            MachineSpeeds speeds = MachineCalibration.Measure([first.Device, second.Device], folder.Path, s_short, null, default);
            Assert.True(speeds.Measured);
            Assert.Equal(2, speeds.Gpus.Length);
            foreach (GpuSpeeds gpu in speeds.Gpus) Assert.All((double[])[gpu.ToDevice, gpu.FromDevice, gpu.ToDeviceTogether!.Value, .. Numbers(gpu.Matrices)], Positive);
            Assert.All(speeds.Gpus, gpu => Assert.True(gpu.CrossingSeconds is >= 0 and < double.PositiveInfinity));
            Assert.All((double[])[.. Numbers(speeds.Cpu), .. Numbers(speeds.CpuOwnLayouts!), speeds.DiskBytesPerSecond], Positive);
            Assert.Equal(speeds.Cpu.Types.Select(type => type.Type), speeds.CpuOwnLayouts!.Types.Select(type => type.Type));
            foreach (double share in (double[])[speeds.CpuBesideLink, speeds.LinkBesideCpu]) Assert.InRange(share, 0.05, 1);
            foreach (int? threads in (int?[])[speeds.Threads, speeds.ThreadsBesideLink]) Assert.InRange(threads!.Value, 1, Environment.ProcessorCount);
            Assert.Empty(folder.Files);
            string json = JsonSerializer.Serialize(speeds, SpeedCacheJson.Default.MachineSpeeds);
            Assert.Equal(json, JsonSerializer.Serialize(JsonSerializer.Deserialize(json, SpeedCacheJson.Default.MachineSpeeds), SpeedCacheJson.Default.MachineSpeeds));
        }
    }

    [Fact]
    public void What_layers_and_passes_take_is_measured_of_a_device_that_is_said_to_be_fast()
    {
        EngineLibrary.Load();
        StreamingDevice device = StreamingDevice.Create(EngineDevices.Host(), ringBytes: 0);
        using (device.Handle)
        {
            MatrixSpeeds said = new([new(TensorType.Q4_0, 50e9, 0.6e12)], 1, 0), measured = LayerBench.OfGpu(device.Device, said, 2L << 30, s_short, default);
            Assert.True(measured is { PromptLayerSeconds: >= 0 and < 1, PromptPassSeconds: >= 0 and < 1, LayerSeconds: >= 0 and < 1, PassSeconds: >= 0 and < 1, MixtureSeconds: >= 0 and < 1 }, $"{measured}");
            // Without the memory, or too slow, it is not asked.
            Assert.Equal(said, LayerBench.OfGpu(device.Device, said, 1 << 20, s_short, default));
            MatrixSpeeds slow = said with { Types = [new(TensorType.Q4_0, 50e9, 1e9)] };
            Assert.Equal(slow, LayerBench.OfGpu(device.Device, slow, 2L << 30, s_short, default));
        }
    }

    [Fact]
    public void Times_are_taken_in_turn_and_what_goes_before_each_is_done_each_time()
    {
        var done = new List<string>();
        double[] times = TypicalTime.InTurn([() => done.Add("a"), () => done.Add("b")], i => done.Add($"before {i}"), warmups: 1, least: 2, TimeSpan.Zero, share: 0.5, default);
        Assert.Equal(2, times.Length);
        Assert.Equal(Enumerable.Repeat((string[])["before 0", "a", "before 1", "b"], 3).SelectMany(one => one), done);
    }

    [Fact]
    public void Without_a_GPU_nothing_is_said_of_links()
    {
        EngineLibrary.Load();
        using var folder = new TempFolder();
        MachineSpeeds speeds = MachineCalibration.Measure([], folder.Path, s_short, null, default);
        Assert.Empty(speeds.Gpus);
        Assert.Null(speeds.ThreadsBesideLink);
    }

    [Fact]
    public void It_can_be_cancelled()
    {
        EngineLibrary.Load();
        using var folder = new TempFolder();
        using var stop = new CancellationTokenSource();
        var steps = new StopAt(1, stop);
        Assert.ThrowsAny<OperationCanceledException>(() => MachineCalibration.Measure([], folder.Path, TimeSpan.FromMinutes(1), steps, stop.Token));
        Assert.Empty(folder.Files);
    }

    private static void Positive(double value) => Assert.InRange(value, double.Epsilon, double.MaxValue);

    private static IEnumerable<double> Numbers(MatrixSpeeds matrices) => matrices.Types.SelectMany(type => (double[])[type.BytesPerSecond, type.FlopsPerSecond]).Append(matrices.ExpertShare);

    // Cancels when a step begins, which then has a minute to go.
    private sealed class StopAt(int step, CancellationTokenSource stop) : IProgress<CalibrationProgress>
    {
        private int _steps;

        public void Report(CalibrationProgress value)
        {
            if (++_steps == step) stop.Cancel();
        }
    }
}
