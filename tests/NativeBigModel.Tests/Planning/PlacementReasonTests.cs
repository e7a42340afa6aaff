using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Why a layer lies where it does, in the plan's own words.</summary>
public class PlacementReasonTests
{
    private static readonly ModelShape s_dense = Models.Llama(24, 2048, 5632, 16, 16, 32000, TensorType.F16), s_mixture = Models.Llama(16, 2048, 7168, 16, 8, 32000, TensorType.Q8_0, experts: 8, used: 2);

    [Theory]
    [InlineData("0=8GiB,cpu=8GiB", OffloadMode.Cpu, "blk.0", "rests on GPU 0: everything fits")]
    [InlineData("0=8GiB,cpu=8GiB", OffloadMode.Cpu, "input", "in RAM: a token reads one row of it")]
    [InlineData("0=1GiB,cpu=8GiB", OffloadMode.Cpu, "blk.0", "rests on GPU 0: GPUs are filled first, in the order of the layers")]
    [InlineData("0=1GiB,cpu=8GiB", OffloadMode.Cpu, "blk.23", "CPU: the GPUs have no room for it")]
    [InlineData("cpu=8GiB", OffloadMode.Cpu, "blk.3", "CPU: no GPU is to be used")]
    [InlineData("0=1GiB,cpu=1GiB", OffloadMode.Stream, "blk.20.ffn", "streamed from disk: RAM has no room for it; a token waits for it")]
    [InlineData("0=1GiB,cpu=8GiB", OffloadMode.Disk, "blk.20", "streamed from disk: nothing is to be kept in RAM; a token waits for it")]
    [InlineData("0=1700MiB,cpu=8GiB", OffloadMode.Hybrid, "blk.5", "rests on GPU 0: attention goes first, beside its keys and values")]
    public void It_says_so(string limits, OffloadMode offload, string layer, string reason) => Assert.Equal(reason, Plan(s_dense, limits, offload, link: 10).Layers.Single(one => one.Name == layer).Reason);

    [Fact]
    public void A_ring_hides_what_comes_faster_than_it_is_computed_with_and_else_a_token_waits()
    {
        string[] Reasons(double link) => [.. Plan(s_dense, "0=1GiB,cpu=8GiB", OffloadMode.Stream, link, ring: 3).Layers.Where(layer => layer.Streamed).Select(layer => layer.Reason)];
        Assert.All(Reasons(2000), reason => Assert.Equal("streamed: the GPUs have no room for it; the ring hides it", reason));
        Assert.Contains("streamed: the GPUs have no room for it; a token waits for it", Reasons(10));
    }

    [Fact]
    public void What_the_CPU_shares_balances_the_link()
    {
        Assert.Contains(Plan(s_dense, "0=1GiB,cpu=8GiB", OffloadMode.Hybrid, 10).Layers, layer => layer.Reason == "CPU: balances the link");
        Assert.Contains(Plan(s_mixture, "0=2GiB,cpu=20GiB", OffloadMode.Hybrid, 10).Layers, layer => layer.Reason == "CPU: balances the link; a token reads 2 of 8 experts here, and the link would bring all");
    }

    [Fact]
    public void Every_layer_of_every_kind_of_plan_has_one()
    {
        foreach (OffloadMode offload in Enum.GetValues<OffloadMode>())
            foreach (string limits in (string[])["0=600MiB,cpu=1GiB", "0=600MiB,1=900MiB,cpu=8GiB", "cpu=900MiB", "0=20GiB"])
                Assert.DoesNotContain(Plan(s_dense, limits, offload, 10).Layers, layer => layer.Reason.Length == 0);
        Plan mapped = Planner.Plan(s_dense, new Machine([], 0), new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=1GiB,cpu=8GiB"), DeviceMap = DeviceMap.Auto });
        Assert.All(mapped.Layers.Skip(1), layer => Assert.Contains("the device map has it there", layer.Reason, StringComparison.Ordinal));
    }

    private static Plan Plan(ModelShape model, string limits, OffloadMode offload, double link, double? ring = null) => Planner.Plan(
        model,
        new Machine([], 0) { Speeds = MachineSpeeds.Assumed with { Gpus = [new GpuSpeeds("GPU", link * 1e9, link * 1e9, new([new(TensorType.F16, 500e9, 50e12)], 1, 0))] } },
        new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse(limits), Offload = offload, RingLayers = ring });
}
