using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Golden;

/// <summary>Families that compute what another does from weights in other places: a golden checkpoint is rearranged, and the logits must stay.</summary>
[Collection(EngineGroup.Name)]
public class RearrangedTests
{
    [Fact]
    public async Task InternLM2_is_Llama_with_its_projections_by_group()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("mistral"), folder = new();
        JsonObject config = JsonNode.Parse(File.ReadAllText(source["config.json"]))!.AsObject();
        config["architectures"] = new JsonArray("InternLM2ForCausalLM");
        config["bias"] = false;
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        int heads = (int)config["num_attention_heads"]!, kvHeads = (int)config["num_key_value_heads"]!;
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path);
        List<(string, string, long[], byte[])> written = [];
        foreach ((string name, (long[] shape, byte[] data)) in weights)
        {
            if (name.Contains("k_proj", StringComparison.Ordinal) || name.Contains("v_proj", StringComparison.Ordinal)) continue;
            if (name.Contains("q_proj", StringComparison.Ordinal))
            {
                byte[] fused = ByGroup(data, weights[name.Replace("q_proj", "k_proj", StringComparison.Ordinal)].Data, weights[name.Replace("q_proj", "v_proj", StringComparison.Ordinal)].Data, kvHeads);
                written.Add((name.Replace("self_attn.q_proj", "attention.wqkv", StringComparison.Ordinal), "F32", [shape[0] / heads * (heads + 2 * kvHeads), shape[1]], fused));
            }
            else written.Add((Rename(name), "F32", shape, data));
        }
        SafetensorsFile.Write(folder["model.safetensors"], written);

        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Baichuan_is_Llama_with_its_projections_in_one_tensor(bool second)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("llama2"), folder = new();
        JsonObject config = ConfigOf(source, "BaichuanForCausalLM");
        config["model_max_length"] = config["max_position_embeddings"]!.DeepClone();
        if (second) config["z_loss_weight"] = 0;
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        SafetensorsFile.Write(folder["model.safetensors"], [.. Fused(Read(source.Path), "self_attn.{0}_proj.weight", "self_attn.W_pack.weight")]);
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        float[] expected = Nmse.ReadFloats(source["logits.f32"]);
        if (!second)
        {
            await GoldenModelTests.Require(model, reference.RootElement, expected, 1e-9);
            return;
        }
        // The second version's output has rows of length 1.
        float[] output = Nmse.Floats(Read(source.Path)["lm_head.weight"].Data);
        int vocabulary = (int)config["vocab_size"]!, width = (int)config["hidden_size"]!;
        for (int i = 0; i < expected.Length; i++) expected[i] /= (float)Math.Sqrt(output.AsSpan(i % vocabulary * width, width).ToArray().Sum(value => (double)value * value));
        float[] logits = await Capitals.Logits(model, Capitals.Ids(reference.RootElement.GetProperty("logits_ids")));
        Assert.InRange(Nmse.Of(expected, logits), 0, 1e-9);
    }

    // llama.cpp's own graph of Baichuan has slopes in a model of 40 layers; ours is another graph.
    [Fact]
    public async Task The_Baichuan_with_slopes_computes_what_the_graph_of_that_name_does()
    {
        using TempFolder folder = new();
        var tiny = new TinyModel("LlamaForCausalLM") { Layers = 40, Hidden = 64, HeadLength = 8, Heads = 8, KvHeads = 8, FeedForward = 96, Vocabulary = 96 };
        tiny.Write(folder.Path);
        JsonObject config = ConfigOf(folder, "BaichuanForCausalLM");
        config.Remove("max_position_embeddings");
        config["model_max_length"] = 256;
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(folder.Path);
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        SafetensorsFile.Write(folder["model.safetensors"], [.. Fused(weights, "self_attn.{0}_proj.weight", "self_attn.W_pack.weight")]);
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), folder["ours.gguf"], WeightType.F32);
        ModelDefinition definition = Checkpoint.Open(folder["ours.gguf"]).Define(WeightType.AsStored);
        var metadata = new GgufMetadata();
        foreach ((string key, object value) in definition.Metadata) metadata[key.Replace("refact.", "baichuan.", StringComparison.Ordinal)] = value is "refact" ? "baichuan" : value;
        metadata["baichuan.rope.dimension_count"] = 8u;
        GgufFile.Write(folder["theirs.gguf"], metadata, definition.Tensors, null, CancellationToken.None);
        int[] ids = [.. Enumerable.Range(0, 40).Select(i => i * 37 % 96)];
        float[][] logits = new float[2][];
        foreach ((int i, string file) in ((int, string)[])[(0, "ours.gguf"), (1, "theirs.gguf")])
        {
            await using BigModel model = await Capitals.Load(folder[file], Capitals.Exact() with { WeightType = WeightType.AsStored, ContextLength = 64 });
            logits[i] = await Capitals.Logits(model, ids);
        }
        Assert.NotEqual(0, logits[0].Max());
        Assert.InRange(Nmse.Of(logits[1], logits[0]), 0, 1e-12);
    }

    [Fact]
    public async Task Qwen_1_is_Qwen_2_under_other_names()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("qwen2"), folder = new();
        JsonObject old = ConfigOf(source, "Qwen2ForCausalLM");
        int heads = (int)old["num_attention_heads"]!, kvHeads = (int)old["num_key_value_heads"]!;
        File.WriteAllText(folder["config.json"], new JsonObject
        {
            ["architectures"] = new JsonArray("QWenLMHeadModel"), ["hidden_size"] = (int)old["hidden_size"]!, ["intermediate_size"] = 2 * (int)old["intermediate_size"]!,
            ["num_hidden_layers"] = (int)old["num_hidden_layers"]!, ["num_attention_heads"] = heads, ["kv_channels"] = (int)old["hidden_size"]! / heads, ["vocab_size"] = (int)old["vocab_size"]!,
            ["max_position_embeddings"] = 8192, ["seq_length"] = 512, ["layer_norm_epsilon"] = (double)old["rms_norm_eps"]!, ["rotary_emb_base"] = (double)old["rope_parameters"]!["rope_theta"]!,
            ["no_bias"] = true, ["tie_word_embeddings"] = false, ["use_dynamic_ntk"] = true, ["use_logn_attn"] = true,
        }.ToJsonString());
        // A key head that several queries share is the same as that many alike.
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path).ToDictionary(weight => weight.Key, weight =>
            weight.Key.Contains("k_proj", StringComparison.Ordinal) || weight.Key.Contains("v_proj", StringComparison.Ordinal) ? Repeated(weight.Value, kvHeads, heads / kvHeads) : weight.Value);
        IEnumerable<(string, string, long[], byte[])> fused = Fused(weights, "self_attn.{0}_proj.weight", "attn.c_attn.weight");
        fused = Fused(fused.ToDictionary(weight => weight.Item1, weight => (weight.Item3, weight.Item4)), "self_attn.{0}_proj.bias", "attn.c_attn.bias");
        SafetensorsFile.Write(folder["model.safetensors"], [.. fused.Select(weight => weight with { Item1 = NameInQwen(weight.Item1) })]);

        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Assert.Equal(512, checkpoint.Describe().ContextLength);
        Assert.Contains("512 tokens", Assert.Single(checkpoint.Notes), StringComparison.Ordinal);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
    }

    [Fact]
    public async Task ChatGLM_is_GLM_with_its_projections_in_one_tensor()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("glm"), folder = new();
        JsonObject old = ConfigOf(source, "GlmForCausalLM");
        File.WriteAllText(folder["config.json"], new JsonObject
        {
            ["architectures"] = new JsonArray("ChatGLMModel"), ["hidden_size"] = (int)old["hidden_size"]!, ["ffn_hidden_size"] = (int)old["intermediate_size"]!,
            ["num_layers"] = (int)old["num_hidden_layers"]!, ["num_attention_heads"] = (int)old["num_attention_heads"]!, ["kv_channels"] = (int)old["head_dim"]!,
            ["multi_query_attention"] = true, ["multi_query_group_num"] = (int)old["num_key_value_heads"]!, ["padded_vocab_size"] = (int)old["vocab_size"]!, ["seq_length"] = 512,
            ["layernorm_epsilon"] = (double)old["rms_norm_eps"]!, ["add_qkv_bias"] = true, ["add_bias_linear"] = false, ["rmsnorm"] = true, ["post_layer_norm"] = true,
            ["apply_residual_connection_post_layernorm"] = false, ["original_rope"] = true, ["torch_dtype"] = "bfloat16", ["tie_word_embeddings"] = false,
        }.ToJsonString());
        IEnumerable<(string, string, long[], byte[])> fused = Fused(Read(source.Path), "self_attn.{0}_proj.weight", "self_attention.query_key_value.weight");
        fused = Fused(fused.ToDictionary(weight => weight.Item1, weight => (weight.Item3, weight.Item4)), "self_attn.{0}_proj.bias", "self_attention.query_key_value.bias");
        SafetensorsFile.Write(folder["model.safetensors"], [.. fused.Select(weight => weight with { Item1 = NameInChatGlm(weight.Item1) })]);

        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
    }

    // A window in Qwen 2 makes it another graph; one that no token reaches changes nothing, and a short one does.
    [Fact]
    public async Task Qwen_2_with_a_window_is_right_where_the_window_does_not_reach_and_another_beyond()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("qwen2");
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        int[] ids = Capitals.Ids(reference.RootElement.GetProperty("logits_ids"));
        float[] expected = Nmse.ReadFloats(source["logits.f32"]);
        foreach ((int window, bool same) in ((int, bool)[])[(ids.Length, true), (3, false)])
        {
            JsonObject config = ConfigOf(source, "Qwen2ForCausalLM");
            config["use_sliding_window"] = true;
            config["sliding_window"] = window;
            config["max_window_layers"] = 1;
            config["layer_types"] = new JsonArray("full_attention", "sliding_attention");
            File.WriteAllText(source["config.json"], config.ToJsonString());
            await using BigModel model = await Capitals.Load(source.Path, Capitals.Exact());
            Assert.Equal("granite_swa", model.Checkpoint.Describe().Architecture);
            float[] logits = await Capitals.Logits(model, ids);
            double error = Nmse.Of(expected, logits);
            if (same) Assert.InRange(error, 0, 1e-9);
            else Assert.True(error > 1e-6);
        }
    }

    private static JsonObject ConfigOf(TempFolder folder, string family)
    {
        JsonObject config = JsonNode.Parse(File.ReadAllText(folder["config.json"]))!.AsObject();
        config["architectures"] = new JsonArray(family);
        return config;
    }

    // Query, key and value rows one after the other; other weights as they are.
    private static IEnumerable<(string, string, long[], byte[])> Fused(Dictionary<string, (long[] Shape, byte[] Data)> weights, string part, string whole)
    {
        string Part(string letter) => string.Format(System.Globalization.CultureInfo.InvariantCulture, part, letter);
        foreach ((string name, (long[] shape, byte[] data)) in weights)
        {
            if (name.Contains(Part("k"), StringComparison.Ordinal) || name.Contains(Part("v"), StringComparison.Ordinal)) continue;
            if (!name.Contains(Part("q"), StringComparison.Ordinal))
            {
                yield return (name, "F32", shape, data);
                continue;
            }
            (long[] Shape, byte[] Data)[] all = [.. ((string[])["q", "k", "v"]).Select(letter => weights[name.Replace(Part("q"), Part(letter), StringComparison.Ordinal)])];
            yield return (name.Replace(Part("q"), whole, StringComparison.Ordinal), "F32", [all.Sum(one => one.Shape[0]), .. shape.Skip(1)], [.. all.SelectMany(one => one.Data)]);
        }
    }

    private static (long[] Shape, byte[] Data) Repeated((long[] Shape, byte[] Data) weight, int heads, int times) =>
        ([weight.Shape[0] * times, .. weight.Shape.Skip(1)], [.. weight.Data.Chunk(weight.Data.Length / heads).SelectMany(head => Enumerable.Repeat(head, times)).SelectMany(bytes => bytes)]);

    private static string NameInQwen(string name) => name
        .Replace("model.embed_tokens", "transformer.wte", StringComparison.Ordinal).Replace("model.norm", "transformer.ln_f", StringComparison.Ordinal)
        .Replace("model.layers", "transformer.h", StringComparison.Ordinal).Replace("input_layernorm", "ln_1", StringComparison.Ordinal).Replace("post_attention_layernorm", "ln_2", StringComparison.Ordinal)
        .Replace("self_attn.o_proj", "attn.c_proj", StringComparison.Ordinal).Replace("mlp.gate_proj", "mlp.w2", StringComparison.Ordinal).Replace("mlp.up_proj", "mlp.w1", StringComparison.Ordinal)
        .Replace("mlp.down_proj", "mlp.c_proj", StringComparison.Ordinal);

    private static string NameInChatGlm(string name) => name
        .Replace("model.embed_tokens", "transformer.embedding.word_embeddings", StringComparison.Ordinal).Replace("model.norm", "transformer.encoder.final_layernorm", StringComparison.Ordinal)
        .Replace("lm_head", "transformer.output_layer", StringComparison.Ordinal).Replace("model.layers", "transformer.encoder.layers", StringComparison.Ordinal)
        .Replace("self_attn.o_proj", "self_attention.dense", StringComparison.Ordinal).Replace("mlp.gate_up_proj", "mlp.dense_h_to_4h", StringComparison.Ordinal)
        .Replace("mlp.down_proj", "mlp.dense_4h_to_h", StringComparison.Ordinal);

    private static string Rename(string name) => name
        .Replace("lm_head", "output", StringComparison.Ordinal).Replace("embed_tokens", "tok_embeddings", StringComparison.Ordinal)
        .Replace("input_layernorm", "attention_norm", StringComparison.Ordinal).Replace("post_attention_layernorm", "ffn_norm", StringComparison.Ordinal)
        .Replace("self_attn.o_proj", "attention.wo", StringComparison.Ordinal).Replace("mlp.gate_proj", "feed_forward.w1", StringComparison.Ordinal)
        .Replace("mlp.down_proj", "feed_forward.w2", StringComparison.Ordinal).Replace("mlp.up_proj", "feed_forward.w3", StringComparison.Ordinal);

    private static byte[] ByGroup(byte[] query, byte[] key, byte[] value, int groups)
    {
        using var fused = new MemoryStream();
        for (int group = 0; group < groups; group++)
        {
            foreach (byte[] part in (byte[][])[query, key, value]) fused.Write(part, part.Length / groups * group, part.Length / groups);
        }
        return fused.ToArray();
    }

    private static Dictionary<string, (long[] Shape, byte[] Data)> Read(string folder)
    {
        using var files = new CheckpointFiles();
        return Checkpoint.Open(folder).StoredTensors.ToDictionary(tensor => tensor.Name, tensor =>
        {
            byte[] data = new byte[tensor.Bytes];
            files.Read(tensor.File, tensor.Offset, data);
            return (tensor.Shape.ToArray(), tensor.DataType == "F32" ? data : MemoryMarshal.AsBytes(Nmse.FromBrain(data).AsSpan()).ToArray());
        });
    }
}
