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

    // transformers ties nothing where the weights hold two that differ, whatever config.json says; what is stored twice is one.
    [Theory]
    [InlineData("llama2", true)]
    [InlineData("llama_tied", false)]
    public async Task An_output_beside_the_embedding_is_one_of_its_own_only_where_it_differs(string name, bool differs)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy(name);
        JsonObject config = ConfigOf(source, "LlamaForCausalLM");
        config["tie_word_embeddings"] = true;
        File.WriteAllText(source["config.json"], config.ToJsonString());
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path);
        if (!differs) weights["lm_head.weight"] = weights["model.embed_tokens.weight"];
        SafetensorsFile.Write(source["model.safetensors"], [.. weights.Select(weight => (weight.Key, "F32", weight.Value.Shape, weight.Value.Data))]);

        Assert.Equal(differs, Checkpoint.Open(source.Path).Describe().Tensors.Any(tensor => tensor.Name == "output.weight"));
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(source.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-9);
    }

    [Fact]
    public void An_output_of_its_own_is_refused_where_the_graph_has_none()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("gemma");
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path);
        (long[] shape, byte[] data) = weights["model.embed_tokens.weight"];
        weights["lm_head.weight"] = (shape, [.. data.Reverse()]);
        SafetensorsFile.Write(source["model.safetensors"], [.. weights.Select(weight => (weight.Key, "F32", weight.Value.Shape, weight.Value.Data))]);
        Assert.Contains("tie_word_embeddings", Assert.Throws<UnsupportedModelException>(() => Checkpoint.Open(source.Path)).Message, StringComparison.Ordinal);
    }

    // Galactica's form of OPT: what its configuration leaves out is as if it were there and did nothing.
    [Fact]
    public async Task OPT_without_biases_and_without_weights_of_norms_is_OPT_with_idle_ones()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder idle = TestFolders.Copy("opt"), without = TestFolders.Copy("opt");
        JsonObject config = ConfigOf(idle, "OPTForCausalLM");
        config["enable_bias"] = false;
        config["layer_norm_elementwise_affine"] = false;
        File.WriteAllText(without["config.json"], config.ToJsonString());
        bool IsNorm(string name) => name.Contains("layer_norm", StringComparison.Ordinal);
        bool IsIdle(string name) => IsNorm(name) || name.EndsWith(".bias", StringComparison.Ordinal);
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(idle.Path).ToDictionary(weight => weight.Key, weight => !IsIdle(weight.Key) ? weight.Value
            : (weight.Value.Shape, MemoryMarshal.AsBytes(Enumerable.Repeat(weight.Key.EndsWith(".weight", StringComparison.Ordinal) ? 1f : 0, weight.Value.Data.Length / sizeof(float)).ToArray().AsSpan()).ToArray()));
        foreach (TempFolder folder in (TempFolder[])[idle, without])
        {
            SafetensorsFile.Write(folder["model.safetensors"], [.. weights.Where(weight => folder == idle || !IsIdle(weight.Key)).Select(weight => (weight.Key, "F32", weight.Value.Shape, weight.Value.Data))]);
        }
        Assert.Equal(await Logits(idle), await Logits(without));
    }

    // transformers divides scores by the root of the head's length and by the layer's number, each where the configuration says so: queries that are longer by as much score the same.
    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    [InlineData(false, true)]
    public async Task GPT_2_divides_scores_as_its_configuration_says(bool byHead, bool byLayer)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("gpt2");
        JsonObject config = ConfigOf(source, "GPT2LMHeadModel");
        (config["scale_attn_weights"], config["scale_attn_by_inverse_layer_idx"]) = (byHead, byLayer);
        int width = (int)config["n_embd"]!, head = width / (int)config["n_head"]!;
        File.WriteAllText(source["config.json"], config.ToJsonString());
        SafetensorsFile.Write(source["model.safetensors"], [.. Read(source.Path).Select(weight =>
        {
            float[] values = Nmse.Floats(weight.Value.Data);
            float length = weight.Key.Contains("h.1.", StringComparison.Ordinal) && byLayer ? 2 : 1;
            if (!byHead) length /= MathF.Sqrt(head);
            bool fused = weight.Key.Contains("attn.c_attn", StringComparison.Ordinal);
            for (int i = 0; i < values.Length; i++) values[i] *= fused && i % (3 * width) < width ? length : 1;
            return (weight.Key, "F32", weight.Value.Shape, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
        })]);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(source.Path, Capitals.Exact());
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-6);
    }

    // Their graphs want an output projection even where it is the embedding.
    [Theory]
    [InlineData("qwen2_moe", "model.embed_tokens.weight")]
    [InlineData("phi", "model.embed_tokens.weight")]
    [InlineData("gptj", "transformer.wte.weight")]
    public async Task A_tied_output_is_one_that_is_the_embedding_stored_twice(string name, string embedding)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder twice = TestFolders.Copy(name), tied = TestFolders.Copy(name);
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(twice.Path);
        weights["lm_head.weight"] = weights[embedding];
        foreach (TempFolder folder in (TempFolder[])[twice, tied])
        {
            JsonObject config = JsonNode.Parse(File.ReadAllText(folder["config.json"]))!.AsObject();
            config["tie_word_embeddings"] = folder == tied;
            File.WriteAllText(folder["config.json"], config.ToJsonString());
            SafetensorsFile.Write(folder["model.safetensors"], [.. weights.Where(weight => folder == twice || weight.Key != "lm_head.weight").Select(weight => (weight.Key, "F32", weight.Value.Shape, weight.Value.Data))]);
        }
        Assert.Equal(await Logits(twice), await Logits(tied));
    }

    // Where rotary positions change their length, the graph squares it into every score; a model in which they do not, and whose turned queries are longer, scores the same.
    [Theory]
    [InlineData(1.5)]
    [InlineData(0.25)]
    public async Task DeepSeek_with_longer_rotary_positions_is_one_with_longer_queries(double scale)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy("deepseek_v3_yarn"), longer = TestFolders.Copy("deepseek_v3_yarn");
        JsonObject config = ConfigOf(source, "DeepseekV3ForCausalLM");
        JsonObject rope = config["rope_parameters"]!.AsObject();
        double Magnitude(double by) => 0.1 * by * Math.Log((double)rope["factor"]!) + 1;
        float square = (float)Math.Pow(Magnitude(scale) / Magnitude((double)rope["mscale_all_dim"]!), 2);
        int heads = (int)config["num_attention_heads"]!, turned = (int)config["qk_rope_head_dim"]!, head = turned + (int)config["qk_nope_head_dim"]!;
        SafetensorsFile.Write(longer["model.safetensors"], [.. Read(source.Path).Select(weight =>
        {
            float[] values = Nmse.Floats(weight.Value.Data);
            bool queries = weight.Key.EndsWith("q_b_proj.weight", StringComparison.Ordinal) || weight.Key.EndsWith("q_proj.weight", StringComparison.Ordinal);
            int columns = (int)weight.Value.Shape[^1];
            if (queries) Assert.Equal(heads * head, weight.Value.Shape[0]);
            for (int i = 0; i < values.Length; i++) values[i] *= queries && i / columns % head >= head - turned ? square : 1;
            return (weight.Key, "F32", weight.Value.Shape, MemoryMarshal.AsBytes(values.AsSpan()).ToArray());
        })]);
        rope["mscale"] = scale;
        File.WriteAllText(source["config.json"], config.ToJsonString());

        float[] expected = await Logits(longer), logits = await Logits(source);
        Assert.InRange(Nmse.Of(expected, logits), 0, 1e-9);
    }

    // As transformers 4 and 5 store a model of pictures and text, with what published configurations leave to the class.
    [Theory]
    [InlineData("gemma3", "Gemma3ForConditionalGeneration", "gemma3_text", false)]
    [InlineData("gemma3", "Gemma3ForConditionalGeneration", "gemma3_text", true)]
    [InlineData("mistral", "Mistral3ForConditionalGeneration", "mistral", false)]
    [InlineData("mistral", "Mistral3ForConditionalGeneration", "mistral", true)]
    public async Task The_text_part_of_a_model_of_pictures_is_the_model_of_text(string name, string family, string type, bool newer)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder source = TestFolders.Copy(name);
        JsonObject text = JsonNode.Parse(File.ReadAllText(source["config.json"]))!.AsObject();
        text.Remove("architectures");
        text["model_type"] = type;
        Dictionary<string, (long[] Shape, byte[] Data)> weights = Read(source.Path);
        File.WriteAllText(source["config.json"], new JsonObject
        {
            ["architectures"] = new JsonArray(family), ["model_type"] = type[..7], ["text_config"] = text, ["vision_config"] = new JsonObject { ["hidden_size"] = 1152, ["num_hidden_layers"] = 27 },
        }.ToJsonString());
        string Stored(string weight) => !newer ? $"language_model.{weight}" : weight.StartsWith("model.", StringComparison.Ordinal) ? $"model.language_model.{weight["model.".Length..]}" : weight;
        SafetensorsFile.Write(source["model.safetensors"],
        [
            .. weights.Select(weight => (Stored(weight.Key), "F32", weight.Value.Shape, weight.Value.Data)),
            ($"{(newer ? "model." : "")}vision_tower.vision_model.embeddings.patch_embedding.bias", "F32", [2], new byte[8]),
            ($"{(newer ? "model." : "")}multi_modal_projector.mm_input_projection_weight", "F32", [2], new byte[8]),
        ]);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(source["reference.json"]));
        await using BigModel model = await Capitals.Load(source.Path, Capitals.Exact());
        Assert.Contains(model.Checkpoint.Notes, note => note.Contains("pictures", StringComparison.Ordinal));
        await GoldenModelTests.Require(model, reference.RootElement, Nmse.ReadFloats(source["logits.f32"]), 1e-6);
    }

    private static async Task<float[]> Logits(TempFolder folder)
    {
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        return await Capitals.Logits(model, [.. Enumerable.Range(5, 24)]);
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
