using NativeBigModel.Architectures;
using NativeBigModel.Planning;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// Reads hyperparameters from GGUF keys (ggml/docs/gguf.md, "Standardized key-value pairs") and checks all that the engine would
/// otherwise assert and abort on.
/// </summary>
internal static class GgufShape
{
    private const int MaxExtent = 1 << 24;

    /// <exception cref="CheckpointException">A key is missing, has the wrong type, or contradicts another or a tensor.</exception>
    public static ModelShape Read(string file, GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors)
    {
        var keys = new Keys(file, metadata);
        string architecture = keys.String("general.architecture") ?? throw keys.Error("general.architecture", "is missing");
        string Key(string name) => $"{architecture}.{name}";
        int layers = keys.Int(Key("block_count"), 1, DecoderConfig.MaxLayers) ?? throw keys.Error(Key("block_count"), "is missing");
        int embedding = keys.Int(Key("embedding_length"), 1, MaxExtent) ?? throw keys.Error(Key("embedding_length"), "is missing");
        int[] heads = keys.PerLayer(Key("attention.head_count"), layers) ?? new int[layers];
        int[] kvHeads = keys.PerLayer(Key("attention.head_count_kv"), layers) ?? heads;
        int[] feedForward = keys.PerLayer(Key("feed_forward_length"), layers) ?? new int[layers];
        int? window = keys.Int(Key("attention.sliding_window"), 0, int.MaxValue) is { } tokens and > 0 ? tokens : null;
        bool[]? windowed = keys.Flags(Key("attention.sliding_window_pattern"), layers);
        LayerShape Layer(int i)
        {
            if (heads[i] > 0 && kvHeads[i] > 0 && heads[i] % kvHeads[i] != 0) throw keys.Error(Key("attention.head_count_kv"), $"is {kvHeads[i]} in layer {i} and must divide the head count, {heads[i]}");
            int defaultLength = heads[0] == 0 ? 0 : embedding / heads[0];
            int key = keys.Int(Key("attention.key_length"), 1, MaxExtent) ?? defaultLength, value = keys.Int(Key("attention.value_length"), 1, MaxExtent) ?? defaultLength;
            return new(heads[i], kvHeads[i], key, value, feedForward[i], windowed?[i] ?? true ? window : null);
        }
        var shape = new ModelShape
        {
            Architecture = architecture,
            Name = keys.String("general.name") ?? Path.GetFileNameWithoutExtension(file),
            EmbeddingLength = embedding,
            VocabularySize = keys.ArrayLength("tokenizer.ggml.tokens") ?? keys.Int(Key("vocab_size"), 1, MaxExtent) ?? throw keys.Error(Key("vocab_size"), "is missing, and there is no tokenizer"),
            ContextLength = keys.Int(Key("context_length"), 1, 1 << 30) ?? throw keys.Error(Key("context_length"), "is missing"),
            Layers = [.. Enumerable.Range(0, layers).Select(Layer)],
            ExpertCount = keys.Int(Key("expert_count"), 0, 512) ?? 0,
            Tensors = [.. tensors],
        };
        if (ArchitectureRegistry.ForGguf(architecture) is { } known) CheckTensors(keys, known, shape);
        CheckRotary(keys, shape);
        CheckVocabulary(keys, shape);
        return shape;
    }

    // In a family whose map we know, every tensor must have its place and its shape; an expert model has tensors beyond the dense map.
    private static void CheckTensors(Keys keys, Architecture family, ModelShape shape)
    {
        if (shape.ExpertCount > 0) return;
        Dictionary<string, MappedTensor> expected = family.Tensors.ExpandAll(shape).ToDictionary(tensor => tensor.Gguf, StringComparer.Ordinal);
        foreach (TensorSpec tensor in shape.Tensors)
        {
            if (expected.Remove(tensor.Name, out MappedTensor? mapped) && !tensor.Dimensions.AsSpan().SequenceEqual(mapped.Dimensions))
                throw keys.Error(tensor.Name, $"has extents [{string.Join(", ", tensor.Dimensions)}], and the hyperparameters say [{string.Join(", ", mapped.Dimensions)}]");
        }
        if (shape.Tensors.IsEmpty) return;
        MappedTensor? missing = expected.Values.FirstOrDefault(tensor => tensor.Rule.When is null);
        if (missing is not null) throw keys.Error(missing.Gguf, $"is missing, and the {shape.Architecture} graph needs it");
    }

    private static void CheckRotary(Keys keys, ModelShape shape)
    {
        string key = $"{shape.Architecture}.rope.dimension_count";
        LayerShape layer = shape.Layers[0];
        if (shape.Architecture is not ("llama" or "qwen2" or "qwen3") || layer.HeadCount == 0) return;
        if (layer.KeyLength != layer.ValueLength) throw keys.Error($"{shape.Architecture}.attention.value_length", $"is {layer.ValueLength}, and the graph needs the key length, {layer.KeyLength}");
        if (keys.Int(key, 1, MaxExtent) is { } rotary && rotary != layer.KeyLength) throw keys.Error(key, $"is {rotary}, and the graph needs the key length, {layer.KeyLength}");
        string type = keys.String($"{shape.Architecture}.rope.scaling.type") ?? "none";
        if (type is not ("none" or "linear" or "yarn" or "longrope")) throw keys.Error($"{shape.Architecture}.rope.scaling.type", $"is '{type}', and none, linear, yarn and longrope are known");
    }

    private static void CheckVocabulary(Keys keys, ModelShape shape)
    {
        int count = keys.ArrayLength("tokenizer.ggml.tokens") ?? 0;
        foreach (string list in (string[])["tokenizer.ggml.scores", "tokenizer.ggml.token_type"])
        {
            if (keys.ArrayLength(list) is { } length && length < count) throw keys.Error(list, $"has {length} entries for {count} tokens");
        }
        foreach (string id in (string[])["bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask"])
        {
            string key = $"tokenizer.ggml.{id}_token_id";
            if (keys.Long(key) is { } value && value >= Math.Max(count, shape.VocabularySize) && value != uint.MaxValue) throw keys.Error(key, $"is {value}, and there are {count} tokens");
        }
        if (keys.String("tokenizer.ggml.model") == "llama" && keys.Strings("tokenizer.ggml.tokens") is { } tokens) RequireByteTokens(keys, tokens);
    }

    // llama.cpp throws through its C interface, and so ends the process, when a text needs a byte token that is not there.
    private static void RequireByteTokens(Keys keys, string[] tokens)
    {
        HashSet<string> texts = [.. tokens];
        for (int b = 0; b < 256; b++)
        {
            if (!texts.Contains($"<0x{b:X2}>")) throw keys.Error("tokenizer.ggml.tokens", $"has no token <0x{b:X2}>, and a SentencePiece vocabulary needs all 256");
        }
    }

    private sealed class Keys(string file, GgufMetadata metadata)
    {
        public CheckpointException Error(string key, string problem) => new(file, key, problem);

        public string? String(string key) => metadata.Find(key) switch
        {
            null => null,
            string text => text,
            object value => throw Error(key, $"is {value.GetType().Name}, and must be a string"),
        };

        public string[]? Strings(string key) => metadata.Find(key) as string[];

        public int? ArrayLength(string key) => metadata.Find(key) switch
        {
            null => null,
            Array { Length: > 0 } array => array.Length,
            object value => throw Error(key, $"is {value.GetType().Name}, and must be an array with entries"),
        };

        public long? Long(string key) => metadata.Find(key) is { } value ? Number(key, value) : null;

        public int? Int(string key, int min, int max) => Long(key) is { } number ? InRange(key, number, min, max) : null;

        public int[]? PerLayer(string key, int layers)
        {
            if (metadata.Find(key) is not { } value) return null;
            if (value is not Array array) return [.. Enumerable.Repeat(Int(key, 0, MaxExtent)!.Value, layers)];
            if (array.Length < layers) throw Error(key, $"has {array.Length} entries for {layers} layers");
            return [.. array.Cast<object>().Take(layers).Select(item => InRange(key, Number(key, item), 0, MaxExtent))];
        }

        public bool[]? Flags(string key, int layers) => metadata.Find(key) switch
        {
            bool[] flags => flags.Length >= layers ? flags : throw Error(key, $"has {flags.Length} entries for {layers} layers"),
            _ => null,
        };

        private int InRange(string key, long number, int min, int max) =>
            number >= min && number <= max ? (int)number : throw Error(key, $"is {number}, and must lie in [{min}, {max}]");

        private long Number(string key, object value) => value switch
        {
            byte v => v,
            sbyte v => v,
            ushort v => v,
            short v => v,
            uint v => v,
            int v => v,
            ulong v when v <= long.MaxValue => (long)v,
            long v => v,
            _ => throw Error(key, $"is {value.GetType().Name} {value}, and must be a whole number"),
        };
    }
}
