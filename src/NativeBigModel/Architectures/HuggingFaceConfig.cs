using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>A GGUF file in transformers' terms: its configuration, and its tensors under the names and in the order that the family's map has them.</summary>
internal static class HuggingFaceConfig
{
    private const string Frequencies = "rope_freqs.weight";

    // The contexts that models with Llama 3's rotary positions were trained for before they were stretched, and the factors of its corners.
    private static readonly int[] s_originalContexts = [8192, 64, 128, 256, 512, 1024, 2048, 4096, 16384, 32768];
    private const float LowCorner = 1, HighCorner = 4;

    private static readonly Dictionary<string, (string Class, string Type)> s_families = new(StringComparer.Ordinal)
    {
        ["llama"] = ("LlamaForCausalLM", "llama"), ["qwen2"] = ("Qwen2ForCausalLM", "qwen2"), ["qwen3"] = ("Qwen3ForCausalLM", "qwen3"),
    };

    public static JsonSerializerOptions Indented { get; } = new() { WriteIndented = true };

    /// <summary>config.json.</summary>
    /// <exception cref="UnsupportedModelException">The file says something that it cannot.</exception>
    public static JsonObject Of(ModelDefinition definition, string file)
    {
        ModelShape shape = definition.Shape;
        if (!s_families.TryGetValue(shape.Architecture, out (string Class, string Type) family))
            throw new UnsupportedModelException($"{file}: general.architecture: '{shape.Architecture}' is not written as a folder; {string.Join(", ", s_families.Keys)} are");
        LayerShape layer = shape.Layers[0];
        if (shape.ExpertCount > 0 || shape.Layers.Any(other => other != layer) || layer.RotaryLength != layer.KeyLength)
            throw new UnsupportedModelException($"{file}: {shape.Architecture}.expert_count: experts, layers that differ, and heads that are turned in part are not written as a folder");
        var keys = new GgufKeys(file, definition.Metadata);
        string Key(string name) => $"{shape.Architecture}.{name}";
        bool Has(string tensor) => shape.Tensors.Any(one => one.Name == tensor);
        var config = new JsonObject
        {
            ["architectures"] = new JsonArray(family.Class),
            ["model_type"] = family.Type,
            ["vocab_size"] = shape.Tensors.First(tensor => tensor.Name == "token_embd.weight").Rows,
            ["hidden_size"] = shape.EmbeddingLength,
            ["intermediate_size"] = layer.FeedForwardLength,
            ["num_hidden_layers"] = shape.Layers.Length,
            ["num_attention_heads"] = layer.HeadCount,
            ["num_key_value_heads"] = layer.KvHeadCount,
            ["head_dim"] = layer.KeyLength,
            ["hidden_act"] = "silu",
            ["max_position_embeddings"] = keys.Int(Key("context_length"), 1, int.MaxValue),
            ["rms_norm_eps"] = Real(definition.Metadata, Key("attention.layer_norm_rms_epsilon")),
            ["rope_theta"] = Real(definition.Metadata, Key("rope.freq_base")) ?? 10000,
            ["tie_word_embeddings"] = !Has("output.weight"),
            ["torch_dtype"] = MostOf(definition) switch { TensorType.F16 => "float16", TensorType.BF16 => "bfloat16", _ => "float32" },
            ["use_cache"] = true,
        };
        if (shape.Architecture != "qwen2") config["attention_bias"] = Has("blk.0.attn_q.bias");
        if (shape.Architecture == "llama") config["mlp_bias"] = Has("blk.0.ffn_up.bias");
        foreach ((string name, string key) in ((string, string)[])[("bos_token_id", "bos"), ("eos_token_id", "eos"), ("pad_token_id", "padding")])
        {
            if (keys.Long($"tokenizer.ggml.{key}_token_id") is { } id && id < uint.MaxValue) config[name] = id;
        }
        if (Scaling(definition, keys, file, layer) is { } scaling) config["rope_scaling"] = scaling;
        return config;
    }

    /// <summary>The weights, each as it was before it was a tensor of llama.cpp's.</summary>
    /// <exception cref="UnsupportedModelException">A tensor is quantised, or is made of more than one weight.</exception>
    public static IEnumerable<ModelTensor> Weights(ModelDefinition definition)
    {
        ModelShape shape = definition.Shape;
        TensorType most = MostOf(definition);
        using JsonDocument none = JsonDocument.Parse("{}");
        var config = new ConfigReader("config.json", "", none.RootElement);
        ILookup<string, TensorRule> rules = ArchitectureRegistry.ForGguf(shape.Architecture)!.Tensors.Rules.ToLookup(rule => rule.Gguf, StringComparer.Ordinal);
        foreach (ModelTensor tensor in definition.Tensors)
        {
            if (tensor.Spec.Name == Frequencies) continue;
            if (!Floats.IsFloat(tensor.Spec.Type)) throw new UnsupportedModelException($"{tensor.Spec.Name}: is {tensor.Spec.Type}, and a folder is written of floats");
            int layer = tensor.Spec.Layer;
            string pattern = layer < 0 ? tensor.Spec.Name : tensor.Spec.Name.Replace($"blk.{layer}.", "blk.{}.", StringComparison.Ordinal);
            var place = new Place(shape, Math.Max(0, layer), config);
            (string Name, TensorSource Source) weight = rules[pattern].Select(rule => rule.HuggingFace.Invert(tensor.Source, place, [.. tensor.Spec.Dimensions])).FirstOrDefault(found => found is not null)
                ?? throw new UnsupportedModelException($"{tensor.Spec.Name}: is not one weight of transformers' {shape.Architecture}");
            // Norms and biases are F32 in every GGUF file, whatever they were.
            TensorType type = tensor.Spec.Dimensions.Length == 1 && IsExact(tensor, most) ? most : tensor.Spec.Type;
            yield return new(new TensorSpec(weight.Name, tensor.Spec.Dimensions, type), weight.Source);
        }
    }

    private static TensorType MostOf(ModelDefinition definition) => definition.Tensors.GroupBy(tensor => tensor.Spec.Type, tensor => tensor.Spec.Elements).MaxBy(group => group.Sum())!.Key;

    private static bool IsExact(ModelTensor tensor, TensorType type)
    {
        if (type == tensor.Spec.Type || !Floats.IsFloat(type)) return false;
        using var files = new CheckpointFiles();
        byte[] stored = new byte[tensor.Source.RowBytes * tensor.Source.Rows], narrow = new byte[type.RowBytes(tensor.Spec.Elements)];
        tensor.Source.Read(files, 0, stored);
        var values = new float[tensor.Spec.Elements];
        Floats.Widen(stored, tensor.Source.Type, values);
        var back = new float[values.Length];
        Floats.Narrow(values, type, narrow);
        Floats.Widen(narrow, type, back);
        return MemoryMarshal.AsBytes(values.AsSpan()).SequenceEqual(MemoryMarshal.AsBytes(back.AsSpan()));
    }

    private static JsonObject? Scaling(ModelDefinition definition, GgufKeys keys, string file, LayerShape layer)
    {
        string Key(string name) => $"{definition.Shape.Architecture}.rope.{name}";
        string type = keys.String(Key("scaling.type")) ?? "none";
        if (definition.Tensors.FirstOrDefault(tensor => tensor.Spec.Name == Frequencies) is { } divisors)
        {
            return (type == "none" && keys.Long(Key("scaling.attn_factor")) is null ? LikeLlama3(definition, divisors, layer) : null)
                ?? throw new UnsupportedModelException($"{file}: {Frequencies}: its divisors are not Llama 3's, and are not written as a folder");
        }
        JsonObject scaling = new() { ["rope_type"] = type, ["factor"] = Real(definition.Metadata, Key("scaling.factor")) };
        switch (type)
        {
            case "none": return null;
            case "linear": return scaling;
            case "yarn" when keys.Names.All(name => !name.StartsWith(Key("scaling.yarn_"), StringComparison.Ordinal)):
                scaling["original_max_position_embeddings"] = keys.Int(Key("scaling.original_context_length"), 1, int.MaxValue);
                float factor = scaling["factor"]!.GetValue<float>();
                if (Real(definition.Metadata, Key("scaling.attn_factor")) is { } ratio) scaling["attention_factor"] = ratio * (factor <= 1 ? 1 : 0.1f * MathF.Log(factor) + 1);
                return scaling;
            default: throw new UnsupportedModelException($"{file}: {Key("scaling.type")}: '{type}' with these parameters is not written as a folder");
        }
    }

    // Of the parameters the tensor keeps only what they led to: those are right that lead there again.
    private static JsonObject? LikeLlama3(ModelDefinition definition, ModelTensor divisors, LayerShape layer)
    {
        using var files = new CheckpointFiles();
        var values = new float[divisors.Spec.Elements];
        divisors.Source.Read(files, 0, MemoryMarshal.AsBytes(values.AsSpan()));
        foreach (int original in s_originalContexts)
        {
            var scaling = new JsonObject
            {
                ["rope_type"] = "llama3", ["factor"] = values.Max(), ["low_freq_factor"] = LowCorner, ["high_freq_factor"] = HighCorner, ["original_max_position_embeddings"] = original,
            };
            var root = new JsonObject { ["rope_theta"] = Real(definition.Metadata, $"{definition.Shape.Architecture}.rope.freq_base"), ["rope_scaling"] = scaling.DeepClone() };
            using JsonDocument document = JsonDocument.Parse(root.ToJsonString());
            if (values.Max() < 1) return null;
            RotaryScaling read = RotaryScaling.Read(new ConfigReader("config.json", "", document.RootElement), layer.RotaryLength);
            if (read.Write([], "llama", graphReadsFactors: true) is { } again && again.AsSpan().SequenceEqual(values)) return scaling;
        }
        return null;
    }

    private static float? Real(GgufMetadata metadata, string key) => metadata.Find(key) as float?;
}
