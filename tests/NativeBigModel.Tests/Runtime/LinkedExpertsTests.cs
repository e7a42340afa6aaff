using System.Collections.Immutable;
using NativeBigModel.Bench.Memory;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Experts that a device reads where they rest, beside those that the CPU computes.</summary>
[Collection(EngineGroup.Name)]
public class LinkedExpertsTests
{
    private const int Used = 3, Tokens = 24;

    private static readonly int[] s_ids = [1, 5, 9, 2, 33, 7, 60, 4];

    private static readonly GenerateOptions s_some = Capitals.Greedy with { MaxNewTokens = Tokens };

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(Used)]
    public async Task Tokens_are_those_of_the_same_device_without_links(int linked)
    {
        using TempFolder folder = Write();
        await using BigModel resident = await BigModel.LoadAsync(folder.Path, Capitals.Exact(256));
        Plan plan = resident.Checkpoint.Plan(Machine.Probe(), Capitals.Exact(256) with { MaxMemory = null, Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 }) with { LinkedExperts = linked };
        Assert.All(plan.Layers.Where(layer => layer.IsFeedForward), layer => Assert.True(FeedForwardPart.IsShared(layer)));
        await using BigModel hybrid = await BigModel.LoadAsync(resident.Checkpoint, plan);
        await Same(resident, hybrid, linked);
    }

    [TestGpusFact]
    public Task Tokens_are_those_of_a_GPU_without_links() => TestGpus.Run(["64000000+"], static async () =>
    {
        using TempFolder folder = Write();
        PlanOptions exact = Capitals.Exact(256);
        await using BigModel resident = await BigModel.LoadAsync(folder.Path, exact);
        Assert.True(Machine.Probe().Gpus[0].ReadsHostMemory);
        long most = resident.Plan.Devices[0].TotalBytes;
        for (int linked = 0; linked <= Used; linked++)
        {
            PlanOptions within = exact with { MaxMemory = new() { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, most / 2), Host = 1 << 30 }, Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 };
            Plan plan = resident.Checkpoint.Plan(Machine.Probe(), within) with { LinkedExperts = linked };
            Assert.Contains(plan.Layers, FeedForwardPart.IsShared);
            await using BigModel hybrid = await BigModel.LoadAsync(resident.Checkpoint, plan);
            await Same(resident, hybrid, linked);
        }
    });

    [TestGpusFact]
    public Task Compute_buffers_are_those_that_the_engine_allocates() => TestGpus.Run(["64000000+"], static () =>
    {
        using TempFolder folder = Write();
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        foreach (int linked in (int[])[0, 1, Used])
            foreach ((int context, int batch, int sessions) in ((int, int, int)[])[(64, 64, 1), (300, 7, 1), (512, 512, 3)])
            {
                PlanOptions options = Capitals.Exact(context) with { BatchSize = batch, Sessions = sessions };
                long most = checkpoint.Plan(Machine.Probe(), options).Devices[0].TotalBytes, apart = checkpoint.Describe().Tensors.Where(FeedForwardPart.Holds).Sum(tensor => tensor.Bytes);
                MemoryLimits limits = new() { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, most - apart / 2), Host = 1 << 30 };
                Plan plan = checkpoint.Plan(Machine.Probe(), options with { LinkedExperts = linked, MaxMemory = limits, Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 });
                Assert.True(plan.ComputeMeasured);
                Assert.Equal(linked, plan.LinkedExperts);
                using var allocation = new Allocation(checkpoint, plan);
                foreach (EngineBytes held in allocation.Engine)
                {
                    DevicePlan planned = plan.Devices.Single(device => device.Name == held.Device);
                    Assert.True((planned.ComputeBytes, planned.KvBytes) == (held.ComputeBytes, held.KvBytes), $"{linked} linked, context {context}, batch {batch}, {sessions} sessions: {planned} and {held}");
                }
            }
        return Task.CompletedTask;
    });

    // Twice, with a prompt between that brings all experts.
    private static async Task Same(BigModel resident, BigModel hybrid, int linked)
    {
        int[] prompt = [.. Enumerable.Range(0, 48).Select(at => at * 7 % 64)];
        LayerPlacement[] shared = [.. hybrid.Plan.Layers.Where(FeedForwardPart.IsShared)];
        long expert = shared[0].WeightBytes / 6; // of one layer
        foreach (int[] ids in (int[][])[s_ids, s_ids[..1], prompt, s_ids])
        {
            long before = hybrid.Streaming!.LinkedBytes;
            Assert.Equal((await Capitals.Run(resident, ids, s_some)).Ids, (await Capitals.Run(hybrid, ids, s_some)).Ids);
            Assert.Equal(await Capitals.Logits(resident, ids), await Capitals.Logits(hybrid, ids));
            long read = hybrid.Streaming.LinkedBytes - before;
            Assert.Equal(0, read % Math.Max(1, linked * expert));
            // The first token that is made comes with the prompt, of whose tokens the last layer may compute one alone.
            Assert.InRange(read, (Tokens - 1) * shared.Length * linked * expert, ((Tokens + 1) * shared.Length + 2) * linked * expert);
        }
    }

    private static TempFolder Write()
    {
        var folder = new TempFolder();
        new TinyModel("MixtralForCausalLM") { Layers = 5, Hidden = 128, FeedForward = 192, KvHeads = 2, HeadLength = 32, Experts = (6, Used) }.Write(folder.Path);
        return folder;
    }
}
