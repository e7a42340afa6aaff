using System.Collections.Immutable;
using NativeBigModel.Planning;

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
