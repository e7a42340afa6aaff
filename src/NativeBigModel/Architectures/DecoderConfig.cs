using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Reads the configuration keys that Llama-like decoders share into hyperparameters and GGUF keys.</summary>
internal static class DecoderConfig
{
    // What llama.cpp's own arrays hold (llama-hparams.h, LLAMA_MAX_LAYERS); beyond it the engine aborts.
    public const int MaxLayers = 512;

    private const int MaxExtent = 1 << 24;

    /// <summary>Reads the configuration of a dense decoder with rotary positions, RMS norms and a gated SiLU network.</summary>
    /// <param name="config">config.json.</param>
    /// <param name="architecture">llama.cpp's name for the graph.</param>
    /// <param name="modelName">The model's name.</param>
    /// <param name="window">Tokens that attention reaches back in the reference, or null; the graph has no window, so the context is capped there.</param>
    /// <param name="graphReadsRotaryFactors">Whether the graph multiplies in <c>rope_freqs.weight</c>.</param>
    public static ArchitectureReading Read(ConfigReader config, string architecture, string modelName, int? window, bool graphReadsRotaryFactors)
    {
        RequireSilu(config);
        int embedding = config.Int("hidden_size", 1, MaxExtent);
        int heads = config.Int("num_attention_heads", 1, MaxExtent);
        int kvHeads = config.OptionalInt("num_key_value_heads", 1, heads) ?? heads;
        if (heads % kvHeads != 0) throw config.Error("num_key_value_heads", $"is {kvHeads} and must divide num_attention_heads, {heads}");
        if (!config.Has("head_dim") && embedding % heads != 0) throw config.Error("num_attention_heads", $"is {heads} and must divide hidden_size, {embedding}");
        int headLength = config.OptionalInt("head_dim", 2, MaxExtent) ?? embedding / heads;
        if (headLength % 2 != 0) throw config.Error("head_dim", $"is {headLength}, and rotary positions need an even one");
        var layer = new LayerShape(heads, kvHeads, headLength, headLength, config.Int("intermediate_size", 1, MaxExtent));
        int layers = config.Int("num_hidden_layers", 1, MaxLayers);

        RotaryScaling rope = RotaryScaling.Read(config, headLength);
        int context = Math.Min(rope.ContextLength, window ?? int.MaxValue);
        string? cap = context < rope.ContextLength ? ModelShape.WindowCap(context, architecture) : null;

        var shape = new ModelShape
        {
            Architecture = architecture,
            Name = modelName,
            EmbeddingLength = embedding,
            VocabularySize = config.Int("vocab_size", 1, MaxExtent),
            ContextLength = context,
            ContextCap = cap,
            Layers = [.. Enumerable.Repeat(layer, layers)],
        };
        var metadata = new GgufMetadata();
        void Set(string key, object value) => metadata[$"{architecture}.{key}"] = value;
        Set("block_count", (uint)layers);
        Set("context_length", (uint)context);
        Set("embedding_length", (uint)embedding);
        Set("feed_forward_length", (uint)layer.FeedForwardLength);
        Set("attention.head_count", (uint)heads);
        Set("attention.head_count_kv", (uint)kvHeads);
        Set("attention.key_length", (uint)headLength);
        Set("attention.value_length", (uint)headLength);
        Set("attention.layer_norm_rms_epsilon", config.OptionalFloat("rms_norm_eps", 1e-30f, 1) ?? 1e-6f);
        Set("vocab_size", (uint)shape.VocabularySize);
        Set("rope.dimension_count", (uint)headLength);
        float[]? factors = rope.Write(metadata, architecture, graphReadsRotaryFactors);
        return new(shape, metadata) { RotaryFactors = factors };
    }

    private static void RequireSilu(ConfigReader config)
    {
        if (config.OptionalString("hidden_act") is { } activation and not ("silu" or "swish"))
            throw new UnsupportedModelException($"config.json: hidden_act: '{activation}' is not what llama.cpp's graph computes for this family, silu is");
    }
}
