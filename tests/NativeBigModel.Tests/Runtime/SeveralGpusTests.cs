using System.Collections.Immutable;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Placements on two GPUs, in processes that see them.</summary>
[Collection(EngineGroup.Name)]
public class SeveralGpusTests
{
    private static readonly int[] s_ids = [1, 5, 9, 2, 33, 7, 60, 4, 12, 21, 3, 40, 17, 8, 2, 1];

    private static readonly string[] s_models = ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"];

    private static readonly string[] s_gpus = ["64000000", "64000000"];

    [TestGpusFact]
    public Task The_engine_sees_them_with_their_memory() => TestGpus.Run(["64000000", "128000000"], static () =>
    {
        Assert.Equal([("TWIN0", 64000000L, 64000000L), ("TWIN1", 128000000, 128000000)], Machine.Probe().Gpus.Select(gpu => (gpu.Name, gpu.FreeBytes, gpu.TotalBytes)));
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task Logits_of_every_placement_are_those_of_one_GPU_bit_for_bit() => TestGpus.Run(s_gpus, static async () =>
    {
        int[] prompt = [.. s_ids, .. s_ids, .. s_ids]; // long enough that layers which the CPU computes stream
        foreach (string model in s_models)
        {
            using TempFolder folder = Write(model, layers: 7);
            await using BigModel one = await BigModel.LoadAsync(folder.Path, Exact());
            Assert.Equal("0", Devices(one.Plan));
            DevicePlan whole = one.Plan.Devices[0];
            // Room for so much of the model besides what is computed in.
            PlanOptions Shares(double first, double second, OffloadMode offload = OffloadMode.Cpu) => Exact() with { MaxMemory = Limits(Room(whole, first), Room(whole, second)), Offload = offload, OffloadFolder = folder["offload"] };
            foreach ((string devices, PlanOptions options) in ((string, PlanOptions)[])
            [
                ("0 1", Shares(0.7, 0.7)),
                ("0 cpu", Shares(0.6, 0)),
                ("0 1 cpu", Shares(0.3, 0.3)),
                ("0*", Shares(0.5, 0, OffloadMode.Stream)),
                ("0* 1*", Shares(0.3, 0.5, OffloadMode.Stream)),
                ("0* 1* cpu", Shares(0.3, 0.5, OffloadMode.Hybrid)),
                ("0 1*", Shares(0.3, 0.5, OffloadMode.Disk)),
                ("0* 1*", Exact() with { MaxMemory = null, Offload = OffloadMode.Stream }),
            ])
            {
                await using BigModel placed = await BigModel.LoadAsync(folder.Path, options);
                Assert.Equal(devices, Devices(placed.Plan));
                foreach (int[] ids in (int[][])[s_ids, prompt, s_ids]) Assert.Equal(await Capitals.Logits(one, ids), await Capitals.Logits(placed, ids));
            }
        }
    });

    /// <summary>The devices that compute, with a star where layers stream to them.</summary>
    private static string Devices(Plan plan) => string.Join(' ', plan.Layers.Where(layer => layer.Name != Item.Input)
        .GroupBy(layer => layer.ComputeDevice).OrderBy(device => device.Key, StringComparer.Ordinal).Select(device => device.Key + (device.Any(layer => layer.Streamed) ? "*" : "")));

    private static long Room(DevicePlan whole, double share) => share == 0 ? 0 : whole.ComputeBytes + (long)(share * (whole.TotalBytes - whole.ComputeBytes));

    private static MemoryLimits Limits(params long[] gpus) => new() { Gpus = gpus.Select((bytes, gpu) => KeyValuePair.Create(gpu, bytes)).Where(gpu => gpu.Value > 0).ToImmutableSortedDictionary(), Host = 1 << 30 };

    private static PlanOptions Exact() => Capitals.Exact(64) with { WeightType = WeightType.AsStored, MaxMemory = Limits(64_000_000), Threads = 1 };

    private static TempFolder Write(string model, int layers)
    {
        var folder = new TempFolder();
        new TinyModel(model) { Layers = layers, Hidden = 128, FeedForward = 192, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
        return folder;
    }
}
