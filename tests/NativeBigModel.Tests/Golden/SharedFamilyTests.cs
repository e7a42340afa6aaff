using System.Collections.Immutable;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Golden;

/// <summary>Feed-forward networks of families that build them differently, computed by the CPU where they rest and brought to a GPU for long prompts, in processes that see one.</summary>
[Collection(EngineGroup.Name)]
public class SharedFamilyTests
{
    private const int Prompts = 3;

    // Biases of a network and of experts, fused gates, a dense layer below experts; files list their tensors in other orders than graphs use them.
    private static readonly string[] s_cases = ["llama2", "gpt2", "phi3", "gemma2", "falcon", "mixtral", "qwen2_moe", "deepseek_v2", "gpt_oss"];

    private static readonly GenerateOptions s_few = Capitals.Greedy with { MaxNewTokens = 4 };

    [TestGpusFact]
    public Task A_long_prompt_brings_each_matrix_once_and_a_short_one_none() => TestGpus.Run(["64000000"], static async () =>
    {
        if (TestFolders.Golden is null) return;
        foreach (string name in s_cases)
        {
            using TempFolder folder = Copy(name);
            PlanOptions exact = Capitals.Exact(64) with { WeightType = WeightType.AsStored };
            await using BigModel resident = await BigModel.LoadAsync(folder.Path, exact);
            await using BigModel hybrid = await BigModel.LoadAsync(resident.Checkpoint, Shared(resident.Checkpoint, exact, resident.Plan.Devices[0].TotalBytes));
            async Task Same(int length, int first)
            {
                int[] prompt = [.. Enumerable.Range(first, length).Select(at => (at * 37 + 11) % resident.Tokenizer.TokenCount)];
                Assert.Equal((await Capitals.Run(resident, prompt, s_few)).Ids, (await Capitals.Run(hybrid, prompt, s_few)).Ids);
            }
            for (int length = 5; length < PlanOptions.UsualSharedBatchSize; length += 13) await Same(length, 0);
            Assert.All(hybrid.Streaming!.Groups, group => Assert.True(group is { Shared: true, Loads: 0 }, $"{name}: short prompts brought {group}"));
            for (int i = 1; i <= Prompts; i++) await Same(48, i);
            // Of the last layer a prompt needs one token alone, and the first one tells. The first matrices come once more, for a prompt that is still to come; small ones may stay from prompt to prompt.
            string last = $"blk.{hybrid.Plan.EngineLayers.Max(layer => layer.Number)}.";
            StreamedGroup[] needed = [.. hybrid.Streaming.Groups.Where(group => !group.Name.StartsWith(last, StringComparison.Ordinal))];
            Assert.NotEmpty(needed);
            // gpt-oss's graph computes all tokens there.
            if (name != "gpt_oss") Assert.All(hybrid.Streaming.Groups.Except(needed), group => Assert.True(group.Loads <= 1, $"{name}: nobody needs {group}"));
            Assert.All(needed, group => Assert.True(group.Loads is > 0 and <= Prompts + 1, $"{name}: {group}"));
        }
    });

    [TestGpusFact]
    public Task Tokens_whose_experts_are_divided_between_GPU_and_CPU_are_the_same() => TestGpus.Run(["64000000+"], static async () =>
    {
        if (TestFolders.Golden is null) return;
        foreach (string name in (string[])["mixtral", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3", "gpt_oss"])
        {
            using TempFolder folder = Copy(name);
            PlanOptions exact = Capitals.Exact(64) with { WeightType = WeightType.AsStored };
            await using BigModel resident = await BigModel.LoadAsync(folder.Path, exact);
            Plan shared = Shared(resident.Checkpoint, exact, resident.Plan.Devices[0].TotalBytes);
            for (int linked = 1; linked <= resident.Shape.ExpertUsedCount; linked++)
            {
                await using BigModel hybrid = await BigModel.LoadAsync(resident.Checkpoint, shared with { LinkedExperts = linked });
                foreach (int length in (int[])[1, 9, 40])
                {
                    int[] prompt = [.. Enumerable.Range(length, length).Select(at => (at * 37 + 11) % resident.Tokenizer.TokenCount)];
                    Assert.Equal((await Capitals.Run(resident, prompt, s_few)).Ids, (await Capitals.Run(hybrid, prompt, s_few)).Ids);
                    Assert.Equal(await Capitals.Logits(resident, prompt[..1]), await Capitals.Logits(hybrid, prompt[..1]));
                }
                Assert.True(hybrid.Streaming!.LinkedBytes > 0, $"{name}: no experts were read over the link");
            }
        }
    });

    private static TempFolder Copy(string name)
    {
        TempFolder folder = TestFolders.Copy(name);
        // Not as it was trained; as llama.cpp's graph can have it.
        if (name == "gpt_oss") File.WriteAllText(folder["config.json"], File.ReadAllText(folder["config.json"]).Replace("\"truncate\": false", "\"truncate\": true", StringComparison.Ordinal));
        return folder;
    }

    // All but feed-forward networks on the GPU, as many of those as can be with the CPU, and a ring as short as can be.
    private static Plan Shared(Checkpoint checkpoint, PlanOptions options, long most)
    {
        Plan? best = null;
        for (long limit = most; ; limit -= most / 200)
        {
            PlanOptions within = options with { MaxMemory = new() { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(0, limit), Host = 1 << 30 }, Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 };
            Plan? plan = null;
            try { plan = checkpoint.Plan(Machine.Probe(), within); }
            catch (DoesNotFitException) { }
            if (plan is null || plan.Layers.Any(layer => layer.Streamed)) return best!;
            if (plan.Layers.Any(FeedForwardPart.IsShared)) best = plan;
        }
    }
}
