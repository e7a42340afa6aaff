using System.Text.Json.Nodes;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Llama-3.1-405B from its configuration and index alone: what a user plans before downloading 811 GB.</summary>
public class LargestModelTests
{
    // meta-llama's model card and the index: 405,853,388,800 parameters, 2 bytes each.
    private const long Parameters = 405_853_388_800;
    private const int Layers = 126, Hidden = 16384, FeedForward = 53248, Heads = 128, KvHeads = 8, Vocabulary = 128256, Shards = 191;

    [Fact]
    public void It_opens_and_plans_with_no_shard_present()
    {
        using var folder = new TempFolder();
        Write(folder);

        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        ModelShape shape = checkpoint.Describe();

        Assert.False(checkpoint.HasWeights);
        Assert.Equal(1137, Names().Count());
        // llama.cpp's own table of 64 rotary factors comes in addition, and norms are kept in F32.
        long norms = (2L * Layers + 1) * Hidden;
        Assert.Equal(1138, shape.Tensors.Length);
        Assert.Equal(Parameters + 64, shape.ParameterCount);
        Assert.Equal(2 * Parameters + 2 * norms + 64 * 4, shape.WeightBytes);

        var machine = new Machine([.. Enumerable.Range(0, 8).Select(i => new GpuDevice($"CUDA{i}", "", 80L << 30, 80L << 30))], 1L << 40);
        Plan plan = Planner.Plan(shape, machine, new() { ContextLength = 131072 });
        Assert.Equal(2L * Layers * KvHeads * 128 * 131072 * 2, plan.KvBytes);
        Assert.False(plan.Streams);
        Assert.Equal(8, plan.Layers.Select(layer => layer.Device).Distinct().Count(device => device != DeviceName.Host));
        Assert.True(Planner.Plan(shape, machine with { HostFreeBytes = 64L << 30, Gpus = [] }, new()).Streams);
    }

    [Fact]
    public void Its_quantised_size_follows_from_the_blocks()
    {
        using var folder = new TempFolder();
        Write(folder);
        long vectors = (2L * Layers + 1) * Hidden, weights = Parameters - vectors;
        Assert.Equal(weights / 32 * 34 + vectors * 4 + 64 * 4, Checkpoint.Open(folder.Path).Describe(WeightType.Q8_0).WeightBytes);
    }

    [Fact]
    public async Task Loading_or_converting_it_says_that_the_weights_are_not_there()
    {
        using var folder = new TempFolder();
        Write(folder);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Plan plan = Planner.Plan(checkpoint.Describe(), new Machine([], 2L << 40), new());
        await Assert.ThrowsAsync<CheckpointException>(() => BigModel.LoadAsync(checkpoint, plan));
        await Assert.ThrowsAsync<CheckpointException>(() => GgufConverter.ConvertAsync(checkpoint, folder["out.gguf"], WeightType.Q8_0));
        Assert.Equal(["config.json", "model.safetensors.index.json"], folder.Files);
    }

    private static IEnumerable<string> Names() => (new TinyModel("LlamaForCausalLM") { Layers = Layers }).Tensors().Select(tensor => tensor.Name);

    private static void Write(TempFolder folder)
    {
        File.WriteAllText(folder["config.json"], new JsonObject
        {
            ["architectures"] = new JsonArray("LlamaForCausalLM"), ["hidden_act"] = "silu", ["hidden_size"] = Hidden, ["intermediate_size"] = FeedForward,
            ["max_position_embeddings"] = 131072, ["num_attention_heads"] = Heads, ["num_hidden_layers"] = Layers, ["num_key_value_heads"] = KvHeads, ["rms_norm_eps"] = 1e-5,
            ["rope_theta"] = 500000.0, ["tie_word_embeddings"] = false, ["torch_dtype"] = "bfloat16", ["vocab_size"] = Vocabulary, ["bos_token_id"] = 128000, ["eos_token_id"] = new JsonArray(128001, 128008, 128009),
            ["rope_scaling"] = new JsonObject { ["factor"] = 8.0, ["low_freq_factor"] = 1.0, ["high_freq_factor"] = 4.0, ["original_max_position_embeddings"] = 8192, ["rope_type"] = "llama3" },
        }.ToJsonString());
        JsonObject map = [];
        int index = 0;
        foreach (string name in Names()) map[name] = $"model-{index++ % Shards + 1:d5}-of-{Shards:d5}.safetensors";
        File.WriteAllText(folder["model.safetensors.index.json"], new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = 2 * Parameters }, ["weight_map"] = map }.ToJsonString());
    }
}
