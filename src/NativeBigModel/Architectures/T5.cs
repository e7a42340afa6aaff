using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>T5 and its descendants (v1.1, Flan, T0, mT5): an encoder and a decoder, whose positions are biases on attention by the distance between tokens.</summary>
internal sealed class T5 : Architecture
{
    // llama-graph.cpp, llama_relative_position_bucket: all distances from the first on share a bucket, and the logarithm between wants these numbers of them.
    private const int MaxDistance = 128, MinBuckets = 4, MaxBuckets = 255;

    // What transformers' class had as n_positions, though no position depends on it.
    private const int Context = 512;

    private const string CrossBias = "dec.blk.0.cross_attn_rel_b.weight";

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "shared.weight", DecoderTensors.Vocabulary),
        new("enc.output_norm.weight", "encoder.final_layer_norm.weight", DecoderTensors.Embedding),
        new("dec.output_norm.weight", "decoder.final_layer_norm.weight", DecoderTensors.Embedding),
        new("output.weight", ((WeightRecipe)"lm_head.weight").Times(OutputScale), DecoderTensors.Vocabulary) { When = config => !SharesOutput(config) },
        new("output.weight", ((WeightRecipe)"shared.weight").Times(OutputScale), DecoderTensors.Vocabulary) { When = SharesOutput },
        .. Attention("enc.blk.{}.attn", "encoder.block.{}.layer.0", "SelfAttention"),
        PositionBias("enc.blk.{}", "encoder"),
        .. FeedForward("enc.blk.{}", "encoder.block.{}.layer.1"),
        .. ((TensorRule[])[
            .. Attention("dec.blk.{}.attn", "decoder.block.{}.layer.0", "SelfAttention"),
            PositionBias("dec.blk.{}", "decoder"),
            .. Attention("dec.blk.{}.cross_attn", "decoder.block.{}.layer.1", "EncDecAttention"),
            .. FeedForward("dec.blk.{}", "decoder.block.{}.layer.2"),
        ]).Select(rule => rule with { Where = layer => !layer.EncoderOnly }),
    ]);

    public override string Name => "t5";

    public override IReadOnlyList<string> HuggingFaceClasses => ["T5ForConditionalGeneration", "T5WithLMHeadModel", "MT5ForConditionalGeneration"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { Kind = ModelKind.EncoderDecoder, AnyContext = true, WholeHeads = false };

    // Copies of the shared embedding, and a bias that no version of transformers computes with.
    public override bool IsNoWeight(string name, ConfigReader config) => name is "encoder.embed_tokens.weight" or "decoder.embed_tokens.weight"
        or "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight";

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalInt("relative_attention_max_distance") is { } distance and not MaxDistance)
            throw new UnsupportedModelException($"config.json: relative_attention_max_distance: is {distance}, and llama.cpp's t5 graph has {MaxDistance}");
        string activation = config.OptionalString("feed_forward_proj") ?? (IsMultilingual(config) ? "gated-gelu" : "relu");
        if (activation is not ("relu" or "gated-gelu")) throw new UnsupportedModelException($"config.json: feed_forward_proj: '{activation}' is not what llama.cpp's t5 graph computes, relu and gated-gelu are");
        int layers = config.Int("num_layers", 1, DecoderConfig.MaxLayers), decoderLayers = config.OptionalInt("num_decoder_layers", 1, DecoderConfig.MaxLayers) ?? layers;
        if (decoderLayers > layers) throw new UnsupportedModelException($"config.json: num_decoder_layers: is {decoderLayers}, and llama.cpp's t5 graph has no more of them than of the encoder's, {layers}");
        int heads = config.Int("num_heads", 1, DecoderConfig.MaxExtent), length = config.Int("d_kv", 1, DecoderConfig.MaxExtent);
        var layer = new LayerShape(heads, heads, length, length, config.Int("d_ff", 1, DecoderConfig.MaxExtent))
        {
            RotaryLength = 0,
            PositionBuckets = config.OptionalInt("relative_attention_num_buckets", MinBuckets, MaxBuckets) ?? 32,
        };
        var shape = new ModelShape
        {
            Architecture = Name,
            Name = modelName,
            Kind = ModelKind.EncoderDecoder,
            EmbeddingLength = config.Int("d_model", 1, DecoderConfig.MaxExtent),
            VocabularySize = config.Int("vocab_size", 1, DecoderConfig.MaxExtent),
            ContextLength = GraphTraits.LongestContext,
            UsualContextLength = config.OptionalInt("n_positions", 1, GraphTraits.LongestContext) ?? Context,
            Layers = [.. Enumerable.Range(0, layers).Select(i => layer with { EncoderOnly = i >= decoderLayers })],
        };
        return new ArchitectureReading(shape, [])
            .With("block_count", (uint)layers).With("decoder_block_count", (uint)decoderLayers).With("context_length", (uint)shape.UsualContextLength)
            .With("embedding_length", (uint)shape.EmbeddingLength).With("feed_forward_length", (uint)layer.FeedForwardLength)
            .With("attention.head_count", (uint)heads).With("attention.head_count_kv", (uint)heads)
            .With("attention.key_length", (uint)length).With("attention.value_length", (uint)length)
            .With("attention.relative_buckets_count", (uint)layer.PositionBuckets)
            .With("attention.layer_norm_rms_epsilon", config.OptionalFloat("layer_norm_epsilon", 1e-30f, 1) ?? 1e-6f)
            .With("decoder_start_token_id", (uint)(config.OptionalInt(config.FirstOf("decoder_start_token_id", "pad_token_id"), 0, shape.VocabularySize - 1) ?? 0))
            .With("vocab_size", (uint)shape.VocabularySize);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys)
    {
        int layers = keys.Int($"{Name}.block_count", 1, DecoderConfig.MaxLayers)!.Value;
        return layer with
        {
            RotaryLength = 0,
            PositionBuckets = keys.Int($"{Name}.attention.relative_buckets_count", MinBuckets, MaxBuckets) ?? throw keys.Error($"{Name}.attention.relative_buckets_count", "is missing"),
            EncoderOnly = index >= (keys.Int($"{Name}.decoder_block_count", 1, layers) ?? layers),
        };
    }

    // Other converters write the position bias once: here each layer has it, so that all it needs travels together.
    public override IEnumerable<(TensorSpec Spec, TensorSource Source)> Adapt(IReadOnlyList<(TensorSpec Spec, TensorSource Source)> tensors)
    {
        HashSet<string> names = [.. tensors.Select(tensor => tensor.Spec.Name)];
        foreach ((TensorSpec spec, TensorSource source) in tensors)
        {
            if (spec.Name == CrossBias) continue;
            yield return (spec, source);
            if (!spec.Name.EndsWith(".attn_q.weight", StringComparison.Ordinal) || spec.Stack.Length == 0) continue;
            string missing = $"{spec.Stack}blk.{spec.Layer}.attn_rel_b.weight";
            if (!names.Contains(missing) && tensors.FirstOrDefault(tensor => tensor.Spec.Name == $"{spec.Stack}blk.0.attn_rel_b.weight") is { Spec: not null } first)
                yield return (first.Spec with { Name = missing }, first.Source);
        }
    }

    private static bool IsMultilingual(ConfigReader config) => config.Strings("architectures").First() == "MT5ForConditionalGeneration";

    private static bool SharesOutput(ConfigReader config) => !config.HasOwnOutput && Ties(config);

    private static bool Ties(ConfigReader config) => config.OptionalBool("tie_word_embeddings") ?? !IsMultilingual(config);

    // Where the embedding is the output projection as well, what it multiplies is made smaller; the graph does not, so the projection is.
    private static float OutputScale(Place place) =>
        place.Config.OptionalBool("scale_decoder_outputs") ?? Ties(place.Config) ? 1 / MathF.Sqrt(place.Model.EmbeddingLength) : 1;

    private static TensorRule[] Attention(string gguf, string layer, string module) =>
    [
        new($"{gguf}_norm.weight", $"{layer}.layer_norm.weight", DecoderTensors.Embedding),
        new($"{gguf}_q.weight", $"{layer}.{module}.q.weight", DecoderTensors.QueryWeight),
        new($"{gguf}_k.weight", $"{layer}.{module}.k.weight", DecoderTensors.KeyWeight),
        new($"{gguf}_v.weight", $"{layer}.{module}.v.weight", DecoderTensors.ValueWeight),
        new($"{gguf}_o.weight", $"{layer}.{module}.o.weight", DecoderTensors.AttentionOut),
    ];

    // One for all layers of a stack.
    private static TensorRule PositionBias(string gguf, string stack) =>
        new($"{gguf}.attn_rel_b.weight", $"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight", (_, layer) => [layer.HeadCount, layer.PositionBuckets]);

    private static TensorRule[] FeedForward(string gguf, string layer) =>
    [
        new($"{gguf}.ffn_norm.weight", $"{layer}.layer_norm.weight", DecoderTensors.Embedding),
        new($"{gguf}.ffn_gate.weight", $"{layer}.DenseReluDense.wi_0.weight", DecoderTensors.FeedForwardIn) { When = IsGated },
        new($"{gguf}.ffn_up.weight", $"{layer}.DenseReluDense.wi_1.weight", DecoderTensors.FeedForwardIn) { When = IsGated },
        new($"{gguf}.ffn_up.weight", $"{layer}.DenseReluDense.wi.weight", DecoderTensors.FeedForwardIn) { When = config => !IsGated(config) },
        new($"{gguf}.ffn_down.weight", $"{layer}.DenseReluDense.wo.weight", DecoderTensors.FeedForwardOut),
    ];

    private static bool IsGated(ConfigReader config) => (config.OptionalString("feed_forward_proj") ?? (IsMultilingual(config) ? "gated-gelu" : "relu")).StartsWith("gated-", StringComparison.Ordinal);
}
