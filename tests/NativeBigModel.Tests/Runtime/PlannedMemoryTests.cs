using NativeBigModel.Bench.Memory;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Planned bytes against those that the engine allocates, on the CPU and on devices that wrap it.</summary>
[Collection(EngineGroup.Name)]
public class PlannedMemoryTests
{
    private static readonly TensorType[] s_caches = [TensorType.F16, TensorType.F32, TensorType.Q8_0];

    private static readonly string[] s_models = ["LlamaForCausalLM", "Qwen2ForCausalLM", "MistralForCausalLM"];

    [Fact]
    public void Bytes_of_every_kind_are_those_that_the_engine_allocates_in_40_configurations()
    {
        var random = new Random(4);
        for (int i = 0; i < 40; i++)
        {
            using var folder = new TempFolder();
            new TinyModel(s_models[i % s_models.Length]) { Layers = random.Next(1, 7), Hidden = 128, FeedForward = 192, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
            Checkpoint checkpoint = Checkpoint.Open(folder.Path);
            PlanOptions options = Random(random) with { OffloadFolder = folder["offload"] };
            Plan plan = checkpoint.Plan(new Machine([], 1L << 30), options);
            Assert.True(plan.ComputeMeasured);
            Assert.All(plan.Devices, device => Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue)));
            using var allocation = new Allocation(checkpoint, plan);
            DevicePlan host = plan.Devices.Single(device => device.Name == DeviceName.Host);
            EngineBytes held = Assert.Single(allocation.Engine);
            string what = $"configuration {i}: {options}";
            Assert.True(host.ComputeBytes == held.ComputeBytes, $"{what}: {host.ComputeBytes} and {held.ComputeBytes} compute");
            Assert.True(plan.KvBytes == held.KvBytes, $"{what}: {plan.KvBytes} and {held.KvBytes} KV");
            // The engine pads each tensor to the device's alignment.
            long resident = plan.Layers.Where(layer => !layer.Streamed && !(plan.RingLayers > 0 && layer.IsFeedForward)).Sum(layer => layer.WeightBytes);
            Assert.InRange(held.WeightBytes, resident, resident + 64 * checkpoint.Describe().Tensors.Length);
            bool streams = allocation.Streams.TryGetValue(DeviceName.Host, out NbmStats stats);
            Assert.Equal(host.StagingBytes, (long)stats.StagingBytes);
            Assert.InRange((long)stats.RingBytes, 0, host.RingBytes);
            Assert.True(streams || host.RingBytes == 0);
        }
    }

    [Theory]
    [InlineData(2_000, OffloadMode.Stream)]
    [InlineData(1_999, OffloadMode.Disk)]
    [InlineData(2_000, OffloadMode.Hybrid)]
    public void A_ring_that_files_are_read_into_has_room_for_their_blocks_and_no_more(int feedForward, OffloadMode offload)
    {
        using var folder = new TempFolder();
        new TinyModel("LlamaForCausalLM") { Layers = 4, Hidden = 128, FeedForward = feedForward, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Plan Within(long host) => checkpoint.Plan(new Machine([], 0), new() { WeightType = WeightType.AsStored, ContextLength = 64, BatchSize = 64, MaxMemory = new() { Host = host }, Offload = offload, RingLayers = 1, OffloadFolder = folder["offload"] });
        Plan less = Within(Within(1L << 40).Devices.Sum(device => device.TotalBytes) - 1);
        Assert.Contains(less.Layers, layer => layer is { Streamed: true, Device: DeviceName.Disk });
        using var allocation = new Allocation(checkpoint, less);
        NbmStats stats = allocation.Streams[DeviceName.Host];
        DevicePlan host = less.Devices.Single(device => device.Name == DeviceName.Host);
        Assert.Equal((0, 0, (ulong)host.RingBytes), (host.StagingBytes, (long)stats.StagingBytes, stats.RingBytes));
        // A block less is refused by the device, which knows where in the files the tensors begin.
        Plan tight = less with { Devices = less.Devices.Replace(host, host with { RingBytes = host.RingBytes - 4096 }) };
        Assert.Contains($"a ring of {host.RingBytes - 4096} bytes", Assert.Throws<EngineException>(() => new Allocation(checkpoint, tight)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_plan_file_whose_ring_has_no_room_for_blocks_is_refused_before_anything_is_loaded()
    {
        using var folder = new TempFolder();
        Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
        Plan plan = checkpoint.Plan(new Machine([], 1L << 30), new() { WeightType = WeightType.AsStored, ContextLength = 64, Offload = OffloadMode.Disk, RingLayers = 1, OffloadFolder = folder["offload"] });
        // As rings were counted before files were read straight into them.
        long now = plan.Devices.Single(device => device.RingBytes > 0).RingBytes, before = RingSize.Of(checkpoint.Describe().Tensors.Where(tensor => tensor.Layer == 0)) + 256;
        string json = plan.ToJson(), old = json.Replace($"\"ring_bytes\": {now}", $"\"ring_bytes\": {before}", StringComparison.Ordinal);
        List<LoadProgress> progress = [];
        var refusal = await Assert.ThrowsAsync<InvalidOptionException>(() => BigModel.LoadAsync(checkpoint, Plan.FromJson(old), new Now(progress.Add)));
        Assert.Equal($"plan: cpu: ring bytes are {before}, and this model makes them {now}", refusal.Message);
        Assert.Empty(progress);
        await using BigModel model = await BigModel.LoadAsync(checkpoint, Plan.FromJson(json), new Now(progress.Add));
        Assert.Equal((ulong)now, (ulong)model.Streaming!.RingBytes);
        Assert.NotEmpty(progress);
    }

    [Fact]
    public async Task No_allocation_fails_in_300_configurations_between_barely_nothing_and_everything()
    {
        using var folder = new TempFolder();
        new TinyModel("LlamaForCausalLM") { Layers = 5, Hidden = 128, FeedForward = 192, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), folder["model.gguf"], WeightType.F16);
        Checkpoint checkpoint = Checkpoint.Open(folder["model.gguf"]);
        Machine machine = new([], 1L << 30);
        var random = new Random(5);
        int loaded = 0;
        for (int i = 0; i < 300; i++)
        {
            PlanOptions options = Random(random) with { MaxMemory = new() { Host = (long)Math.Pow(2, 12 + random.NextDouble() * 14) } };
            Plan plan;
            try { plan = checkpoint.Plan(machine, options); }
            catch (DoesNotFitException) { continue; }
            new Allocation(checkpoint, plan).Dispose();
            loaded++;
        }
        Assert.InRange(loaded, 30, 300);
    }

    private static PlanOptions Random(Random random) => new()
    {
        ContextLength = random.Next(1, 120),
        BatchSize = random.Next(4) == 0 ? null : random.Next(1, 600),
        KvType = s_caches[random.Next(s_caches.Length)],
        RingLayers = 1 + random.NextDouble() * 4,
        Offload = (OffloadMode)random.Next(4),
        CpuShare = random.NextDouble(),
        FlashAttention = true,
        MaxMemory = random.Next(3) == 0 ? new() { Host = 1 << 28 } : null,
    };
}
