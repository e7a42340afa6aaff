using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Limits at their edges: what is too small is refused with what is needed, and what is larger than any machine is only a limit.</summary>
public class MemoryLimitsTests
{
    private static readonly ModelShape s_shape = Checkpoint.Open(TestFolders.Capitals).Describe();

    private static readonly long s_embedding = s_shape.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Bytes;

    private static readonly long s_layer = s_shape.Tensors.Where(tensor => tensor.Layer == 0).Sum(tensor => tensor.Bytes);

    [Theory]
    [InlineData("cpu=0")]
    [InlineData("cpu=1")]
    [InlineData("0=1GiB,cpu=0")]
    public void Host_memory_that_cannot_hold_the_embedding_is_refused_with_both_numbers(string limits)
    {
        DoesNotFitException error = Refused(limits, OffloadMode.Cpu);
        Assert.Equal(("cpu", MemoryLimits.Parse(limits).Host), (error.Device, error.LimitBytes));
        Assert.True(error.NeededBytes >= s_embedding);
        Assert.StartsWith($"cpu: {error.NeededBytes} bytes are needed and {error.LimitBytes} are allowed; ", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0=1KiB,cpu=1GiB", OffloadMode.Stream)]
    [InlineData("0=1KiB,cpu=1GiB", OffloadMode.Disk)]
    [InlineData("0=0,cpu=1GiB", OffloadMode.Stream)]
    public void A_GPU_that_cannot_hold_a_ring_of_the_largest_layer_is_refused_with_both_numbers(string limits, OffloadMode offload)
    {
        DoesNotFitException error = Refused(limits, offload);
        Assert.Equal(("0", MemoryLimits.Parse(limits).Gpus[0]), (error.Device, error.LimitBytes));
        Assert.InRange(error.NeededBytes, s_layer * 3 / 2, s_layer * 3 / 2 + 2 * 256 * 20);
        Assert.StartsWith($"GPU 0: {error.NeededBytes} bytes are needed and {error.LimitBytes} are allowed; ", error.Message, StringComparison.Ordinal);
        Assert.Matches("more on GPU 0$", error.Message);
    }

    // Layers stay on the disk: besides the embedding there is only what they are read into.
    [Fact]
    public void Host_memory_that_cannot_hold_what_a_disk_is_read_into_is_refused_with_both_numbers()
    {
        DevicePlan host = Plan("0=3MiB,cpu=1GiB", OffloadMode.Disk).Devices.Single(device => device.Name == DeviceName.Host);
        Assert.Equal((s_embedding + host.StagingBytes, true), (host.TotalBytes, host.StagingBytes > 0));
        Assert.Equal(host.TotalBytes, Plan($"0=3MiB,cpu={host.TotalBytes}", OffloadMode.Disk).Devices.Single(device => device.Name == DeviceName.Host).TotalBytes);
        DoesNotFitException error = Refused($"0=3MiB,cpu={host.TotalBytes - 1}", OffloadMode.Disk);
        Assert.Equal(("cpu", host.TotalBytes, host.TotalBytes - 1), (error.Device, error.NeededBytes, error.LimitBytes));
    }

    [Theory]
    [InlineData("0=0,cpu=1GiB")]
    [InlineData("0=1,cpu=1gb")]
    public void A_GPU_that_cannot_hold_a_layer_is_left_empty_where_the_CPU_computes(string limits) =>
        Assert.All(Plan(limits, OffloadMode.Cpu).Layers, layer => Assert.Equal(DeviceName.Host, layer.Device));

    // A plan may be made for a machine that is not here; what is not there is refused when it is carried out.
    [Fact]
    public void Limits_beyond_any_machine_are_only_limits() => Assert.False(Plan("0=1000TiB,1=1000TiB,cpu=9223372036854775807", OffloadMode.Cpu).Streams);

    private static DoesNotFitException Refused(string limits, OffloadMode offload) => Assert.Throws<DoesNotFitException>(() => Plan(limits, offload));

    private static Plan Plan(string limits, OffloadMode offload) =>
        Planner.Plan(s_shape, new Machine([], 0), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = MemoryLimits.Parse(limits), Offload = offload });

    [Fact]
    public void What_another_plan_takes_is_left_to_nobody_else()
    {
        Plan draft = Planner.Plan(Models.Llama(4, 512, 1024, 8, 8, 8000, TensorType.F16), new Machine([], 0), new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=1GiB,cpu=1GiB") });
        long Takes(string device) => draft.Devices.Single(one => one.Name == device).TotalBytes;
        MemoryLimits left = MemoryLimits.Parse("0=1GiB,1=2GiB,cpu=8MiB").Beside(draft);
        Assert.Equal([(1L << 30) - Takes("0"), 2L << 30], left.Gpus.Values);
        Assert.Equal(0, left.Host); // less than the draft's
        Machine machine = new Machine([new("GPU", "", 3L << 30, 4L << 30)], 5L << 30).Beside(draft);
        Assert.Equal(((3L << 30) - Takes("0"), 4L << 30, (5L << 30) - Takes("cpu")), (machine.Gpus[0].FreeBytes, machine.Gpus[0].TotalBytes, machine.HostFreeBytes));
    }

    [Fact]
    public void Without_limits_the_program_itself_is_left_some_of_the_RAM_and_another_plan_leaves_what_it_leaves()
    {
        const long gib = 1L << 30;
        GpuDevice gpu = new("GPU", "", 10 * gib, 12 * gib);
        MemoryLimits Of(long host) => MemoryLimits.Of(new Machine([gpu], host));
        Assert.Equal((10 * gib, 7 * gib), (Of(8 * gib).Gpus[0], Of(8 * gib).Host));
        Assert.Equal((62 * gib, 0L), (Of(64 * gib).Host, Of(0).Host));
        Plan other = Planner.Plan(s_shape, new Machine([gpu], 64 * gib), new() { MaxMemory = MemoryLimits.Parse("cpu=1GiB") });
        Machine left = new Machine([gpu], 64 * gib).Beside(other);
        Assert.Equal((10 * gib, 64 * gib - other.Devices.Single(device => device.Name == DeviceName.Host).TotalBytes), (left.Gpus[0].FreeBytes, left.HostFreeBytes));
    }
}
