using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

public class PlannerTests
{
    private static readonly PlanOptions s_options = new() { ContextLength = 256, ComputeBytes = Uncounted.Compute };

    // Layers of one size, as published models have them, or each of its own.
    private static readonly Gen<ModelShape> s_shape =
        from layers in Gen.Choose(1, 12)
        from even in Gen.Elements(true, false)
        from widths in Gen.ArrayOf(Gen.Choose(1, 64), 12)
        from input in Gen.Choose(1, 200)
        from output in Gen.OneOf(Gen.Constant(0), Gen.Choose(1, 200))
        from kvHeads in Gen.Choose(1, 2)
        select Shape([.. Enumerable.Range(0, layers).Select(i => widths[even ? 0 : i])], input, output, kvHeads);

    internal static readonly Gen<MemoryLimits> s_limits =
        from gpus in Gen.ListOf(Gen.Choose(0, 400_000)).Select(all => all.Take(3).ToArray())
        from host in Gen.Choose(-200_000, 2_000_000)
        select new MemoryLimits { Gpus = gpus.Select((bytes, i) => KeyValuePair.Create(i, (long)bytes)).ToImmutableSortedDictionary(), Host = host < 0 ? null : host };

    private static readonly Arbitrary<(ModelShape Shape, MemoryLimits Limits, OffloadMode Offload)> s_cases =
        (from shape in s_shape from limits in s_limits from offload in Gen.Elements(OffloadMode.Cpu, OffloadMode.Stream, OffloadMode.Disk) select (shape, limits, offload)).ToArbitrary();

    internal static Arbitrary<(ModelShape Shape, MemoryLimits Limits, OffloadMode Offload)> Cases => s_cases;

    [Fact]
    public void Every_layer_is_placed_once_in_device_order_within_the_limits_and_the_totals_add_up() => Run(s_cases, one =>
    {
        if (TryPlan(one.Shape, one.Limits, one.Offload) is not { } plan) return;
        // Parts of layers are streamed to GPUs; else layers are whole.
        bool split = plan.Layers.Any(IsPart);
        Assert.True(!split || (one.Offload == OffloadMode.Stream && one.Limits.Gpus.Count > 0), "layers are split for the CPU");
        LayerPlacement[] layers = [.. plan.Layers.Where(layer => !IsPart(layer))];
        Assert.Equal(["input", .. Enumerable.Range(0, one.Shape.Layers.Length).Select(i => $"blk.{i}"), "output"], layers.Select(layer => layer.Name));
        int[] computing = [.. layers.Skip(1).Select(layer => Rank(layer.ComputeDevice))];
        Assert.Equal(computing.Order(), computing);
        // What stays on the device that layers are streamed to lies between them; all else rests in order.
        int[] resting = [.. plan.Layers.Skip(1).Where(layer => layer.Streamed || !plan.Layers.Any(other => other.Streamed && other.ComputeDevice == layer.Device)).Select(layer => Rank(layer.Device))];
        if (!split) Assert.Equal(resting.Order(), resting);
        foreach (DevicePlan device in plan.Devices)
        {
            Assert.Equal(plan.Layers.Where(layer => layer.Device == device.Name).Sum(layer => layer.WeightBytes), device.WeightBytes);
            Assert.Equal(plan.Layers.Where(layer => layer.ComputeDevice == device.Name).Sum(layer => layer.KvBytes), device.KvBytes);
            Assert.Equal(device.Name == DeviceName.Disk || (device.Name == DeviceName.Host && one.Limits.Host is null), device.LimitBytes is null);
            Assert.Equal(plan.Layers.Any(layer => layer.Streamed && layer.ComputeDevice == device.Name), device.RingBytes > 0);
            Assert.Equal(device.Name == DeviceName.Host && plan.Layers.Any(layer => layer.Streamed && layer.Device == DeviceName.Disk && layer.ComputeDevice != DeviceName.Host), device.StagingBytes > 0);
            Assert.Equal(device.WeightBytes + device.KvBytes + device.RingBytes + device.StagingBytes + device.ComputeBytes, device.TotalBytes);
            Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue), $"{device}");
        }
        Assert.All(plan.Layers, layer => Assert.Contains(plan.Devices, device => device.Name == layer.Device));
        Assert.Equal(one.Shape.Tensors.Sum(tensor => tensor.Bytes), plan.WeightBytes);
        Assert.Equal(plan.WeightBytes + CopiedOutput(one.Shape, plan), plan.Layers.Sum(layer => layer.WeightBytes));
        Assert.All(plan.Layers, layer => Assert.True(layer.Streamed || layer.Device == layer.ComputeDevice, $"{layer}"));
        Assert.All(plan.Layers, layer => Assert.True(layer.Streamed || layer.Device != DeviceName.Disk, $"{layer}"));
        Assert.Equal(plan.KvBytes, plan.Devices.Sum(device => device.KvBytes));
        Assert.True(plan.Layers.All(layer => layer.ComputeDevice != DeviceName.Disk), "keys and values cannot be on disk");
    });

    [Fact]
    public void More_memory_anywhere_leaves_no_more_bytes_on_slower_devices() => Run(
        (from one in s_cases.Generator from more in Gen.ArrayOf(Gen.Choose(0, 300_000), 4) select (one.Shape, one.Limits, one.Offload, more)).ToArbitrary(), one =>
        {
            if (!one.Shape.Layers.All(layer => layer == one.Shape.Layers[0])) return;
            var larger = new MemoryLimits
            {
                Gpus = one.Limits.Gpus.Select(gpu => KeyValuePair.Create(gpu.Key, gpu.Value + one.more[gpu.Key])).ToImmutableSortedDictionary(),
                Host = one.Limits.Host + one.more[3],
            };
            if (TryPlan(one.Shape, one.Limits, one.Offload) is not { } before) return;
            Plan? after = TryPlan(one.Shape, larger, one.Offload);
            Assert.True(after is not null, "more memory made a plan impossible");
            if (after.Layers.Any(IsPart) || before.Layers.Any(IsPart))
            {
                // A ring more takes the room of layers, where two links bring the rest sooner all the same. Parts do not divide evenly.
                Assert.InRange(BusiestLink(after), 0, BusiestLink(before) + 2 * after.Layers.Max(layer => layer.WeightBytes));
                return;
            }
            // The embedding does as well on the host as on a GPU, so it is not counted among the layers that a GPU computes.
            Assert.True(LayersOnGpus(after) >= LayersOnGpus(before), "fewer layers on GPUs");
            Assert.True(BytesOnDisk(after) <= BytesOnDisk(before), "more bytes on disk");
        });

    [Fact]
    public void The_same_question_has_the_same_answer() => Run(s_cases, one =>
    {
        Plan? first = TryPlan(one.Shape, one.Limits, one.Offload), second = TryPlan(one.Shape with { }, one.Limits with { }, one.Offload);
        Assert.Equal(first, second);
        Assert.Equal(first?.GetHashCode(), second?.GetHashCode());
        if (first is not null) Assert.NotEqual(first, first with { Layers = [.. first.Layers, first.Layers[0]] });
    });

    [Fact]
    public void A_tied_output_is_copied_to_a_GPU_and_shared_on_the_host()
    {
        ModelShape tied = Shape([8, 8], 100, 0, 1), untied = Shape([8, 8], 100, 100, 1);
        var gpu = new MemoryLimits { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, 1 << 30), Host = 1 << 30 };
        var host = new MemoryLimits { Host = 1 << 30 };
        long embedding = tied.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Bytes;

        Assert.Equal(tied.WeightBytes, TryPlan(tied, host)!.Layers.Sum(layer => layer.WeightBytes));
        Assert.Equal(tied.WeightBytes + embedding, TryPlan(tied, gpu)!.Layers.Sum(layer => layer.WeightBytes));
        Assert.Equal(untied.WeightBytes, TryPlan(untied, gpu)!.Layers.Sum(layer => layer.WeightBytes));
        Assert.Equal(TryPlan(untied, gpu)!.Layers[^1].WeightBytes, TryPlan(tied, gpu)!.Layers[^1].WeightBytes);
    }

    [Fact]
    public void A_GPU_streams_parts_of_layers_where_the_shorter_ring_makes_tokens_clearly_faster()
    {
        ModelShape model = Models.Llama(32, 4096, 11008, 32, 32, 32000, TensorType.F16);
        Plan Streamed(string gpu) => Planner.Plan(model, new Machine([], 0), new() { MaxMemory = MemoryLimits.Parse($"0={gpu},cpu=30GiB"), Offload = OffloadMode.Stream, ContextLength = 1024, ComputeBytes = Uncounted.Compute });
        Plan most = Streamed("12GiB"), little = Streamed("2GiB");
        Assert.All(most.Layers.Where(layer => layer.Streamed), layer => Assert.True(IsPart(layer)));
        Assert.DoesNotContain(most.Layers, layer => layer.ComputeDevice == DeviceName.Host && layer.Name != "input");
        // A layer of 405 MB, and half of the next, would be in the ring, and one of them more on its way.
        Assert.InRange(most.Devices[0].RingBytes, 405_000_000, 600_000_000);
        Assert.DoesNotContain(little.Layers, IsPart);
    }

    [Fact]
    public void A_GPU_keeps_what_it_can_beside_the_ring_and_the_cache_of_what_is_streamed_to_it()
    {
        ModelShape shape = Shape([.. Enumerable.Repeat(40, 20)], 100, 100, 1);
        long layer = 256 * 40 * 4, ring = layer * 3 / 2 + 256, cache = 2 * 32 * 2 * 256, output = 64 * 4 + 64 * 100 * 2;
        // The ring, every layer's cache, and 5 layers and a half: the output fits into the half.
        long limit = ring + 20 * cache + layer * 11 / 2;
        Plan plan = TryPlan(shape, new MemoryLimits { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, limit), Host = 1 << 30 }, OffloadMode.Disk)!;
        // Spread over the 20, so that the link has something to bring while they are computed.
        Assert.Equal(["blk.2", "blk.6", "blk.10", "blk.14", "blk.18", "output"], plan.Layers.Where(placed => placed is { Device: "0", Streamed: false }).Select(placed => placed.Name));
        Assert.Equal(15, plan.Layers.Count(placed => placed.Streamed && placed.ComputeDevice == "0" && placed.Device == "disk"));
        // What is left over makes the ring longer, to a hundredth of a layer.
        long longest = limit - 5 * layer - output - 20 * cache;
        Assert.InRange(plan.Devices[0].RingBytes, longest - layer / 100 - 2 * 256, longest);
        Assert.Equal(new DevicePlan("0", 5 * layer + output, 20 * cache, plan.Devices[0].RingBytes, 0, 0, limit), plan.Devices[0]);
        Assert.Equal(15 * layer, plan.Layers.Where(placed => placed.Streamed).Sum(placed => placed.WeightBytes));
    }

    [Theory]
    [InlineData(TensorType.F16, 1792, 0)]
    [InlineData(TensorType.Q4_0, 1792, 256 / 32 * 18)]
    [InlineData(TensorType.Q4_K, 1792, 144)]
    [InlineData(TensorType.Q4_0, 1536, 0)]
    public void A_ring_of_one_layer_has_room_for_the_whole_rows_of_512_that_CUDA_wants(TensorType type, int columns, long wanted)
    {
        var matrix = new TensorSpec("blk.0.ffn_down.weight", [columns, 64], type);
        Assert.Equal(matrix.Bytes + wanted, RingSize.Of([matrix]), 256.0);
        Assert.True(RingSize.Of([matrix]) >= matrix.Bytes + wanted);
    }

    [Fact]
    public void Without_a_GPU_host_memory_holds_layers_to_compute_and_none_to_stream()
    {
        ModelShape shape = Shape([.. Enumerable.Repeat(41, 12)], 87, 87, 1);
        long layer = 256 * 41 * 4, cache = 2 * 32 * 2 * 256, inRing = (layer / 4096 + 2) * 4096;
        // The embedding, every layer's cache, a ring of one and a half layers with what a disk's blocks have before and after them, and two layers and an eighth.
        Plan plan = TryPlan(shape, new MemoryLimits { Host = 64 * 87 * 2 + 12 * cache + inRing * 3 / 2 + layer * 17 / 8 }, OffloadMode.Stream)!;
        Assert.Equal(["input", "blk.3", "blk.9"], plan.Layers.Where(placed => placed.Device == DeviceName.Host).Select(placed => placed.Name));
        Assert.All(plan.Layers, placed => Assert.Equal(placed.Device == DeviceName.Disk, placed.Streamed));
    }

    [Fact]
    public void What_contradicts_the_model_is_refused()
    {
        ModelShape shape = Shape([8], 10, 10, 1);
        PlanOptions[] wrong =
        [
            s_options with { ContextLength = 0 }, s_options with { ContextLength = 513 }, s_options with { BatchSize = 0 }, s_options with { KvType = TensorType.Q6_K },
            s_options with { KvType = TensorType.Q8_0, FlashAttention = false },
        ];
        foreach (PlanOptions options in wrong) Assert.Throws<InvalidOptionException>(() => Planner.Plan(shape, new Machine([], 1 << 30), options));
        Assert.Equal(512, Planner.Plan(shape, new Machine([], 1 << 30), s_options with { ContextLength = null }).ContextLength);
    }

    private static void Run<T>(Arbitrary<T> cases, Action<T> holds) => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(cases, holds));

    private static Plan? TryPlan(ModelShape shape, MemoryLimits limits, OffloadMode offload = OffloadMode.Cpu)
    {
        try { return Planner.Plan(shape, new Machine([], 0), s_options with { MaxMemory = limits, Offload = offload }); }
        catch (DoesNotFitException error)
        {
            Assert.True(error.NeededBytes > error.LimitBytes);
            return null;
        }
    }

    private static int Rank(string device) => DeviceName.GpuIndex(device) ?? (device == DeviceName.Host ? 1000 : 1001);

    private static long CopiedOutput(ModelShape shape, Plan plan) =>
        shape.Tensors.Any(tensor => tensor.Name == "output.weight") || DeviceName.GpuIndex(plan.Layers[^1].Device) is null ? 0 : shape.Tensors[0].Bytes;

    private static int LayersOnGpus(Plan plan) => plan.Layers.Count(layer => layer.Name != "input" && DeviceName.GpuIndex(layer.Device) is not null);

    private static long BytesOnDisk(Plan plan) => plan.Layers.Where(layer => layer.Device == DeviceName.Disk).Sum(layer => layer.WeightBytes);

    private static bool IsPart(LayerPlacement layer) => layer.IsFeedForward;

    private static long BusiestLink(Plan plan) => plan.Layers.Where(layer => layer.Streamed).GroupBy(layer => layer.ComputeDevice).Select(link => link.Sum(layer => layer.WeightBytes)).DefaultIfEmpty().Max();

    private static ModelShape Shape(int[] widths, int input, int output, int kvHeads)
    {
        List<TensorSpec> tensors = [new("token_embd.weight", [64, input], TensorType.F16), new("output_norm.weight", [64], TensorType.F32)];
        if (output > 0) tensors.Add(new("output.weight", [64, input], TensorType.F16));
        for (int i = 0; i < widths.Length; i++) tensors.Add(new($"blk.{i}.ffn_up.weight", [256, widths[i]], TensorType.F32));
        return new ModelShape
        {
            Architecture = "llama", Name = "random", EmbeddingLength = 64, VocabularySize = input, ContextLength = 512,
            Layers = [.. widths.Select(width => new LayerShape(2, kvHeads, 32, 32, width))], Tensors = [.. tensors],
        };
    }
}
