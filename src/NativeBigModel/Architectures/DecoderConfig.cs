using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>
/// Reads the configuration keys that decoders share into hyperparameters and GGUF keys. A family says what differs, above all the values that its class in
/// transformers has where the file says nothing; the initial values here are those of Llama.
/// </summary>
internal sealed record DecoderConfig(ConfigReader Config, string Architecture, string ModelName)
{
    // What llama.cpp's own arrays hold (llama-hparams.h, LLAMA_MAX_LAYERS); beyond it the engine aborts.
    public const int MaxLayers = 512;

    public const int MaxExtent = 1 << 24;

    /// <summary>The norm's epsilon: its key and its value where absent.</summary>
    public (string Key, float Default) Epsilon { get; init; } = ("rms_norm_eps", 1e-6f);

    /// <summary>Whether the norms subtract the mean.</summary>
    public bool LayerNorm { get; init; }

    /// <summary>The activations that the graph computes, the first where the configuration says nothing.</summary>
    public IReadOnlyList<string> Activations { get; init; } = ["silu", "swish"];

    /// <summary>Length of a head where absent; null for the width divided by the heads.</summary>
    public int? HeadLength { get; init; }

    /// <summary>Key heads where absent; null for as many as there are query heads.</summary>
    public int? KvHeads { get; init; }

    /// <summary>Width of the feed-forward network where absent, in multiples of the model's; 0 where it must be there.</summary>
    public int FeedForwardFactor { get; init; }

    /// <summary>The context where absent.</summary>
    public int Context { get; init; } = 2048;

    /// <summary>Base of the rotary frequencies where absent.</summary>
    public float RotaryBase { get; init; } = 10000;

    /// <summary>The share of a head that is turned where the configuration says nothing; 0 for a model without rotary positions.</summary>
    public float RotaryShare { get; init; } = 1;

    /// <summary>The elements that are turned where <c>rotary_dim</c> is absent, in families that count them; null in those that have a share.</summary>
    public int? RotaryDimensions { get; init; }

    /// <summary>Whether the graph can turn a part of the heads.</summary>
    public bool PartialRotary { get; init; }

    /// <summary>Whether a graph that turns whole heads, in pairs, shall turn a part of them: the frequencies are told in divisors that leave the rest standing.</summary>
    public bool SpreadsRotary { get; init; }

    /// <summary>Whether the graph multiplies in <c>rope_freqs.weight</c>.</summary>
    public bool ReadsRotaryFactors { get; init; }

    /// <summary>Whether the graph chooses between <c>rope_factors_short.weight</c> and <c>rope_factors_long.weight</c>.</summary>
    public bool ReadsLongRope { get; init; }

    /// <summary>Tokens that attention reaches back in the reference, where the graph has no window, so that the context is capped there.</summary>
    public int? MissingWindow { get; init; }

    /// <summary>Which layers have a sliding window of how many tokens, in a graph that has them.</summary>
    public (int Tokens, bool[] Layers)? Windows { get; init; }

    /// <summary>The heads, where they are not what the usual keys say.</summary>
    public Func<LayerShape, LayerShape> Heads { get; init; } = layer => layer;

    /// <summary>What else a layer has.</summary>
    public Func<LayerShape, int, LayerShape> Layer { get; init; } = (layer, _) => layer;

    /// <summary>Experts of a layer that has some, and how many of them a token passes.</summary>
    public (int Count, int Used)? Experts { get; init; }

    /// <summary>Number of layers.</summary>
    public static int LayerCount(ConfigReader config) => config.Int(config.FirstOf("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 1, MaxLayers);

    /// <summary>Which layers attend through a window: as <c>layer_types</c> lists them, or else every layer but each <paramref name="period"/>-th.</summary>
    public static bool[] WindowedLayers(ConfigReader config, int period)
    {
        int layers = LayerCount(config);
        if (!config.Has("layer_types")) return [.. Enumerable.Range(0, layers).Select(layer => (layer + 1) % period != 0)];
        string[] types = [.. config.Strings("layer_types")];
        if (types.Length != layers) throw config.Error("layer_types", $"has {types.Length} entries for {layers} layers");
        return [.. types.Select(type => type switch
        {
            "sliding_attention" => true,
            "full_attention" => false,
            _ => throw new UnsupportedModelException($"config.json: layer_types: '{type}' is not supported for this family"),
        })];
    }

    /// <summary>The context that the configuration states.</summary>
    public int DefinedContext => Config.OptionalInt(Config.FirstOf("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx"), 1, 1 << 30) ?? Context;

    public ArchitectureReading Read()
    {
        RequireActivation();
        int embedding = EmbeddingLength, layers = LayerCount(Config);
        LayerShape uniform = Heads(UniformLayer(embedding));
        RotaryScaling? rope = uniform.RotaryLength > 0 ? RotaryScaling.Read(Config, uniform.RotaryLength, RotaryBase, Context) : null;
        int defined = rope?.ContextLength ?? DefinedContext;
        int context = Math.Min(defined, MissingWindow ?? int.MaxValue);
        LongRope? longRope = ReadsLongRope ? rope?.Long : null;
        int reach = longRope?.Reach ?? context;
        (int Tokens, bool[] Layers)? windows = ReachingWindows(reach);
        var shape = new ModelShape
        {
            Architecture = Architecture,
            Name = ModelName,
            EmbeddingLength = embedding,
            VocabularySize = Config.Int(Config.FirstOf("vocab_size", "padded_vocab_size"), 1, MaxExtent),
            ContextLength = reach,
            ContextCap = context < defined ? ModelShape.WindowCap(context, Architecture) : longRope?.Cap(Architecture),
            UsualContextLength = longRope?.OriginalContext,
            Layers = [.. Enumerable.Range(0, layers).Select(i => Layer(uniform with { SlidingWindow = windows is { } some && some.Layers[i] ? some.Tokens : null }, i))],
            ExpertCount = Experts?.Count ?? 0,
            ExpertUsedCount = Experts?.Used ?? 0,
        };
        var reading = new ArchitectureReading(shape, []);
        Write(reading, windows);
        if (rope is null) return reading;
        reading.With("rope.dimension_count", (uint)(SpreadsRotary ? uniform.KeyLength : uniform.RotaryLength));
        if (longRope is not null) return longRope.Write(reading);
        float[]? factors = rope.Write(reading.Metadata, Architecture, ReadsRotaryFactors);
        if (SpreadsRotary && uniform.RotaryLength < uniform.KeyLength) factors = rope.Spread(factors, uniform.KeyLength);
        return factors is null ? reading : reading with { Constants = [("rope_freqs.weight", factors)] };
    }

    // A graph that has windows asserts that a layer has one (llama-model.cpp, create_memory): one as long as the context changes nothing.
    private (int Tokens, bool[] Layers)? ReachingWindows(int context) =>
        Windows is { } windows && !windows.Layers.Contains(true) ? (context, [.. Enumerable.Repeat(true, windows.Layers.Length)]) : Windows;

    private int EmbeddingLength => Config.Int(Config.FirstOf("hidden_size", "n_embd", "d_model", "n_embed"), 1, MaxExtent);

    private LayerShape UniformLayer(int embedding)
    {
        string headsKey = Config.FirstOf("num_attention_heads", "n_head", "n_heads");
        int heads = Config.Int(headsKey, 1, MaxExtent);
        int kvHeads = Config.OptionalInt("num_key_value_heads", 1, heads) ?? Math.Min(heads, KvHeads ?? heads);
        if (heads % kvHeads != 0) throw Config.Error("num_key_value_heads", $"is {kvHeads} and must divide {headsKey}, {heads}");
        int? given = Config.OptionalInt("head_dim", 2, MaxExtent) ?? HeadLength;
        if (given is null && embedding % heads != 0) throw Config.Error(headsKey, $"is {heads} and must divide hidden_size, {embedding}");
        int headLength = given ?? embedding / heads;
        string widthKey = Config.FirstOf("intermediate_size", "ffn_dim", "ffn_hidden_size", "n_inner");
        int width = FeedForwardFactor == 0 ? Config.Int(widthKey, 1, MaxExtent) : Config.OptionalInt(widthKey, 1, MaxExtent) ?? checked(FeedForwardFactor * embedding);
        return new LayerShape(heads, kvHeads, headLength, headLength, width) { RotaryLength = RotaryLength(headLength) };
    }

    private int RotaryLength(int headLength)
    {
        if (RotaryShare == 0) return 0;
        ConfigReader parameters = RotaryScaling.Parameters(Config) ?? Config;
        float share = parameters.OptionalFloat("partial_rotary_factor", 0, 1) ?? Config.OptionalFloat("partial_rotary_factor", 0, 1) ?? Config.OptionalFloat(Config.FirstOf("rotary_pct", "rope_pct"), 0, 1) ?? RotaryShare;
        int length = RotaryDimensions is { } byDefault ? Config.OptionalInt("rotary_dim", 2, headLength) ?? Math.Min(headLength, byDefault) : (int)(headLength * share);
        if (length != headLength && !PartialRotary && !SpreadsRotary)
            throw new UnsupportedModelException($"config.json: partial_rotary_factor: {share} is not what llama.cpp's graph computes for this family, 1 is");
        if (length < 2 || length % 2 != 0) throw Config.Error(length == headLength ? "head_dim" : "partial_rotary_factor", $"makes {length} elements rotary, and they must be an even number");
        return length;
    }

    private void Write(ArchitectureReading reading, (int Tokens, bool[] Layers)? windows)
    {
        ModelShape shape = reading.Shape;
        LayerShape layer = shape.Layers[0];
        reading.With("block_count", (uint)shape.Layers.Length)
            .With("context_length", (uint)shape.ContextLength)
            .With("embedding_length", (uint)shape.EmbeddingLength)
            .With("feed_forward_length", (uint)layer.FeedForwardLength)
            .With("attention.head_count", (uint)layer.HeadCount)
            .With("attention.head_count_kv", (uint)layer.KvHeadCount)
            .With("attention.key_length", (uint)layer.KeyLength)
            .With("attention.value_length", (uint)layer.ValueLength)
            .With(LayerNorm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon", Config.OptionalFloat(Epsilon.Key, 1e-30f, 1) ?? Epsilon.Default)
            .With("vocab_size", (uint)shape.VocabularySize);
        if (Experts is { } experts) reading.With("expert_count", (uint)experts.Count).With("expert_used_count", (uint)experts.Used);
        if (windows is { } some) reading.With("attention.sliding_window", (uint)some.Tokens).With("attention.sliding_window_pattern", some.Layers);
    }

    private void RequireActivation()
    {
        string key = Config.FirstOf("hidden_activation", "hidden_act", "activation_function", "activation");
        if (Config.OptionalString(key) is { } activation && !Activations.Contains(activation))
            throw new UnsupportedModelException($"config.json: {key}: '{activation}' is not what llama.cpp's graph computes for this family, {Activations[0]} is");
    }
}
