using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Layers whose feed-forward networks may be computed elsewhere than their attention.</summary>
public class HybridPlacementTests
{
    private const int Width = 64;

    private static readonly Arbitrary<(ModelShape Shape, MemoryLimits Limits, double Share, double Ring)> s_cases =
        (from layers in Gen.Choose(1, 12)
         from widths in Gen.ArrayOf(Gen.Choose(1, 64), 12)
         from tied in Gen.Elements(true, false)
         from gpus in Gen.ArrayOf(Gen.Choose(0, 400_000), 2)
         from gpuCount in Gen.Choose(1, 2)
         from host in Gen.Choose(20_000, 2_000_000)
         from share in Gen.Choose(0, 10)
         from ring in Gen.Choose(4, 24)
         let limits = new MemoryLimits { Gpus = gpus.Take(gpuCount).Select((bytes, i) => KeyValuePair.Create(i, (long)bytes)).ToImmutableSortedDictionary(), Host = host }
         select (Shape(widths[..layers], tied), limits, share / 10.0, ring / 4.0)).ToArbitrary();

    [Fact]
    public void Every_part_is_placed_once_within_the_limits_and_the_totals_add_up() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(s_cases, one =>
    {
        if (TryPlan(one) is not { } plan) return;
        Assert.Equal(one.Shape.Tensors.Sum(tensor => tensor.Bytes), plan.WeightBytes);
        bool split = plan.Layers.Any(layer => layer.IsFeedForward);
        Assert.Equal(["input", .. Enumerable.Range(0, one.Shape.Layers.Length).SelectMany(i => split ? (string[])[$"blk.{i}", $"blk.{i}.ffn"] : [$"blk.{i}"]), "output"], plan.Layers.Select(layer => layer.Name));
        foreach (DevicePlan device in plan.Devices)
        {
            Assert.Equal(plan.Layers.Where(layer => layer.Device == device.Name).Sum(layer => layer.WeightBytes), device.WeightBytes);
            Assert.Equal(plan.Layers.Where(layer => layer.ComputeDevice == device.Name).Sum(layer => layer.KvBytes), device.KvBytes);
            Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue), $"{device}");
        }
        Assert.All(plan.Layers.Where(layer => layer.ComputeDevice == DeviceName.Host && layer.Name != "input" && split), layer => Assert.EndsWith(".ffn", layer.Name, StringComparison.Ordinal));
        // Only what rests in memory can be computed there.
        Assert.All(plan.Layers.Where(layer => !layer.Streamed), layer => Assert.Equal(layer.Device, layer.ComputeDevice));
    }));

    [Fact]
    public void The_CPU_never_takes_more_than_its_share_and_a_part() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(s_cases, one =>
    {
        if (TryPlan(one) is not { } plan) return;
        LayerPlacement[] onCpu = [.. plan.Layers.Where(layer => layer.ComputeDevice == DeviceName.Host && layer.IsFeedForward)];
        long left = onCpu.Sum(layer => layer.WeightBytes) + plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);
        long largest = onCpu.Select(layer => layer.WeightBytes).DefaultIfEmpty(0).Max();
        Assert.InRange(onCpu.Sum(layer => layer.WeightBytes), 0, one.Share * left + largest);
        if (one.Share == 0) Assert.Empty(onCpu);
    }));

    [Fact]
    public void A_plan_comes_back_from_its_file_and_suits_its_model() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(s_cases, one =>
    {
        if (TryPlan(one) is not { } plan) return;
        Plan read = Plan.FromJson(plan.ToJson());
        Assert.Equal(plan, read);
        read.Verify(one.Shape);
    }));

    [Theory]
    [InlineData(1, 1)]
    [InlineData(1.5, 2.5)] // half of the next layer's three matrices
    public void A_ring_for_nothing_but_what_the_CPU_computes_holds_a_matrix_and_not_a_layer(double ring, double matrices)
    {
        ModelShape mixtral = Models.Llama(32, 4096, 14336, 32, 8, 32000, TensorType.Q4_0, experts: 8, used: 2);
        Plan plan = Planner.Plan(mixtral, new Machine([], 0), new()
        {
            MaxMemory = MemoryLimits.Parse("0=12GiB,cpu=60GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = ring, ContextLength = 1024, ComputeBytes = Uncounted.Compute,
        });
        Assert.DoesNotContain(plan.Layers, layer => layer.Streamed);
        double bytes = matrices * 8 * 14336 * 4096 / 32 * 18;
        Assert.InRange(plan.Devices[0].RingBytes, bytes, bytes + 3 * 256);
        // What it leaves over is not enough for one network more.
        Assert.InRange(plan.Devices[0].LimitBytes!.Value - plan.Devices[0].TotalBytes, 0, plan.Layers.First(layer => layer.IsFeedForward).WeightBytes - 1);
    }

    [Fact]
    public void Of_a_ring_only_whole_matrices_count()
    {
        ModelShape mixtral = Models.Llama(32, 4096, 14336, 32, 8, 32000, TensorType.Q4_0, experts: 8, used: 2);
        const double matrix = 8.0 * 14336 * 4096 / 32 * 18, link = 50e9, flops = 100e12;
        var speeds = new MachineSpeeds
        {
            Measured = true, Gpus = [new GpuSpeeds("GPU", link, link, new([new(TensorType.Q4_0, 2e12, flops)], 1, 0))], Cpu = new([new(TensorType.Q4_0, 60e9, 1e12)], 1, 0),
            CpuBesideLink = 1, LinkBesideCpu = 1, DiskBytesPerSecond = 1e9,
        };
        Plan plan = Planner.Plan(mixtral, new Machine([], 0), new()
        {
            MaxMemory = MemoryLimits.Parse("0=12GiB,cpu=60GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1, LinkedExperts = 0, ContextLength = 1024, ComputeBytes = Uncounted.Compute,
        });
        double Prompt(double matrices) => new SpeedModel(mixtral, speeds).Predict(plan with { Devices = [.. plan.Devices.Select(device => device with { RingBytes = device.RingBytes > 0 ? (long)(matrices * matrix) + 256 : 0 })] }).PrefillSeconds;
        // One at a time: while the GPU computes with it nothing can come, and while the next comes there is nothing to compute.
        int streamed = plan.Layers.Count(layer => FeedForwardPart.IsShared(layer) && layer.Number < 31) * 3;
        double each = 2.0 * 512 * 2 * 14336 * 4096 / flops;
        Assert.Equal(Prompt(1), Prompt(1.9), 9);
        Assert.Equal(Prompt(2), Prompt(2.9), 9);
        Assert.InRange(Prompt(1.9) - Prompt(2), streamed * each * 0.8, streamed * each * 1.2); // attention is hidden as well
        Assert.True(Prompt(1.9) >= streamed * (matrix / link + each));
    }

    [Fact]
    public void Attention_stays_on_the_GPU_before_feed_forward_networks_and_shares_of_equal_layers_are_met()
    {
        ModelShape shape = Shape([.. Enumerable.Repeat(40, 20)], tied: false);
        long part = 3L * Width * 40 * 4, attention = Width * Width * 4, cache = 2 * 32 * 2 * 256, group = part + 3 * 128;
        // The ring, every layer's cache and attention, the output, and three networks and a half.
        long limit = 3 * group + 20 * (cache + attention) + Width * 200 * 2 + 64 + part * 7 / 2;
        Plan plan = TryPlan((shape, new MemoryLimits { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, limit), Host = 1 << 30 }, 0.5, 3))!;
        Assert.Equal(20, plan.Layers.Count(layer => layer is { Device: "0", KvBytes: > 0, Streamed: false }));
        int onGpu = plan.Layers.Count(layer => layer.Device == "0" && layer.IsFeedForward);
        int onCpu = plan.Layers.Count(layer => layer.ComputeDevice == DeviceName.Host && layer.IsFeedForward);
        Assert.InRange(onGpu, 1, 3);
        Assert.InRange(onCpu, (20 - onGpu) / 2, (20 - onGpu + 1) / 2);
    }

    [Fact]
    public void A_share_outside_0_to_1_is_refused() =>
        Assert.Contains("1.5", Assert.Throws<InvalidOptionException>(() => Planner.Plan(Shape([8], false), new Machine([], 1 << 30), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, CpuShare = 1.5 })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_device_map_is_refused_beside_it() =>
        Assert.Throws<InvalidOptionException>(() => Planner.Plan(Shape([8], false), new Machine([], 1 << 30), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, Offload = OffloadMode.Hybrid, DeviceMap = DeviceMap.Auto }));

    private static Plan? TryPlan((ModelShape Shape, MemoryLimits Limits, double Share, double Ring) one)
    {
        try { return Planner.Plan(one.Shape, new Machine([], 0), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = one.Limits, Offload = OffloadMode.Hybrid, CpuShare = one.Share, RingLayers = one.Ring }); }
        catch (DoesNotFitException) { return null; }
    }

    private static ModelShape Shape(int[] widths, bool tied) => new()
    {
        Architecture = "llama",
        Name = "shape",
        EmbeddingLength = Width,
        VocabularySize = 200,
        ContextLength = 512,
        Layers = [.. widths.Select(width => new LayerShape(1, 1, 32, 32, width))],
        Tensors =
        [
            new("token_embd.weight", [Width, 200], TensorType.F16),
            .. widths.SelectMany((width, i) => (TensorSpec[])
            [
                new($"blk.{i}.attn_q.weight", [Width, Width], TensorType.F32),
                new($"blk.{i}.ffn_gate.weight", [Width, width], TensorType.F32),
                new($"blk.{i}.ffn_up.weight", [Width, width], TensorType.F32),
                new($"blk.{i}.ffn_down.weight", [width, Width], TensorType.F32),
            ]),
            .. tied ? (TensorSpec[])[] : [new("output.weight", [Width, 200], TensorType.F16)],
        ],
    };
}
