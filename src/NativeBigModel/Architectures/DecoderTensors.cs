using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>Tensor rules that the Llama-like decoders share: the names transformers gives them and the shapes llama.cpp expects.</summary>
internal static class DecoderTensors
{
    /// <summary>The norm before the feed-forward network.</summary>
    public static TensorRule FeedForwardNorm { get; } = new("blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", Embedding);

    /// <summary>Embedding, final norm and output projection, in a family whose class has an output of its own.</summary>
    public static readonly TensorRule[] Ends = EndsWhere(Untied);

    /// <summary>The same in a family whose class ties it to the embedding.</summary>
    public static readonly TensorRule[] TiedEnds = EndsWhere(UntiedIfSaid);

    /// <summary>Norms on each query and key head.</summary>
    public static readonly TensorRule[] HeadNorms =
    [
        new("blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", HeadNorm),
        new("blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", HeadNorm),
    ];

    /// <summary>A gated feed-forward network behind its norm.</summary>
    public static TensorRule[] GatedFeedForward => [FeedForwardNorm, .. GatedProjections];

    /// <summary>The same without its norm.</summary>
    public static readonly TensorRule[] GatedProjections =
    [
        new("blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight", FeedForwardIn) { Where = HasNoExperts },
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight", FeedForwardIn) { Where = HasNoExperts },
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", FeedForwardOut) { Where = HasNoExperts },
    ];

    /// <summary>Its biases, where the configuration has them.</summary>
    public static readonly TensorRule[] GatedFeedForwardBiases =
    [
        new("blk.{}.ffn_gate.bias", "model.layers.{}.mlp.gate_proj.bias", FeedForward) { When = MlpBias, Where = HasNoExperts },
        new("blk.{}.ffn_up.bias", "model.layers.{}.mlp.up_proj.bias", FeedForward) { When = MlpBias, Where = HasNoExperts },
        new("blk.{}.ffn_down.bias", "model.layers.{}.mlp.down_proj.bias", Embedding) { When = MlpBias, Where = HasNoExperts },
    ];

    /// <summary>A gated network whose gate and up projection lie together, for a graph that has them apart.</summary>
    public static readonly TensorRule[] SplitGateUp =
    [
        new("blk.{}.ffn_gate.weight", HalfOfGateUp(0), FeedForwardIn) { Where = HasNoExperts },
        new("blk.{}.ffn_up.weight", HalfOfGateUp(1), FeedForwardIn) { Where = HasNoExperts },
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", FeedForwardOut) { Where = HasNoExperts },
    ];

    private static WeightRecipe HalfOfGateUp(int half) => ((WeightRecipe)"model.layers.{}.mlp.gate_up_proj.weight")
        .Rows(place => RowOrders.From(half * (long)place.Layer.FeedForwardLength), place => 2L * place.Layer.FeedForwardLength);

    private static TensorRule[] EndsWhere(Func<ConfigReader, bool> untied) =>
    [
        new("token_embd.weight", "model.embed_tokens.weight", Vocabulary),
        new("output_norm.weight", "model.norm.weight", Embedding),
        new("output.weight", "lm_head.weight", Vocabulary) { When = untied },
    ];

    /// <summary>Attention projections behind their norm, with the row order of queries and keys that the family's graph wants.</summary>
    public static TensorRule[] Attention(Func<Place, RowMap>? order = null) =>
    [
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", Embedding),
        new("blk.{}.attn_q.weight", Ordered("model.layers.{}.self_attn.q_proj.weight", order), QueryWeight),
        new("blk.{}.attn_k.weight", Ordered("model.layers.{}.self_attn.k_proj.weight", order), KeyWeight),
        new("blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight", ValueWeight),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", AttentionOut),
    ];

    /// <summary>Biases of the query, key and value projections.</summary>
    public static TensorRule[] QkvBiases(Func<Place, RowMap>? order = null, Func<ConfigReader, bool>? when = null) =>
    [
        new("blk.{}.attn_q.bias", Ordered("model.layers.{}.self_attn.q_proj.bias", order), (_, layer) => [Query(layer)]) { When = when },
        new("blk.{}.attn_k.bias", Ordered("model.layers.{}.self_attn.k_proj.bias", order), (_, layer) => [Key(layer)]) { When = when },
        new("blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias", (_, layer) => [Value(layer)]) { When = when },
    ];

    /// <summary>The output projection of a graph that wants one even where it is the embedding.</summary>
    public static TensorRule[] AlwaysOutput(string output, string embedding, Func<ConfigReader, bool> untied) =>
    [
        new("output.weight", output, Vocabulary) { When = untied },
        new("output.weight", embedding, Vocabulary) { When = config => !untied(config) },
    ];

    /// <summary>A bias that the graph wants and the checkpoint may not have.</summary>
    public static TensorRule[] BiasOrZero(string gguf, WeightRecipe bias, Func<ModelShape, LayerShape, long[]> dimensions, Func<ConfigReader, bool> has) =>
    [
        new(gguf, bias, dimensions) { When = has },
        new(gguf, WeightRecipe.Constant(0), dimensions) { When = config => !has(config) },
    ];

    /// <summary>A projection with the rows in an order, or as they stand.</summary>
    public static WeightRecipe Ordered(WeightRecipe weight, Func<Place, RowMap>? order) => order is null ? weight : weight.Rows(order);

    /// <summary>Whether the output projection is a tensor of its own, in a family whose class says so.</summary>
    public static bool Untied(ConfigReader config) => config.HasOwnOutput || !(config.OptionalBool("tie_word_embeddings") ?? false);

    /// <summary>The same where the class ties it unless the file says otherwise.</summary>
    public static bool UntiedIfSaid(ConfigReader config) => config.HasOwnOutput || !(config.OptionalBool("tie_word_embeddings") ?? true);

    public static bool AttentionBias(ConfigReader config) => config.OptionalBool("attention_bias") ?? false;

    public static bool MlpBias(ConfigReader config) => config.OptionalBool("mlp_bias") ?? false;

    public static bool HasExperts(LayerShape layer) => layer.ExpertLength > 0;

    public static bool HasNoExperts(LayerShape layer) => layer.ExpertLength == 0;

    public static long[] Embedding(ModelShape model, LayerShape _) => [model.EmbeddingLength];

    public static long[] FeedForward(ModelShape _, LayerShape layer) => [layer.FeedForwardLength];

    public static long[] Vocabulary(ModelShape model, LayerShape _) => [model.EmbeddingLength, model.VocabularySize];

    public static long[] FeedForwardIn(ModelShape model, LayerShape layer) => [model.EmbeddingLength, layer.FeedForwardLength];

    public static long[] FeedForwardOut(ModelShape model, LayerShape layer) => [layer.FeedForwardLength, model.EmbeddingLength];

    public static long[] QueryWeight(ModelShape model, LayerShape layer) => [model.EmbeddingLength, Query(layer)];

    public static long[] KeyWeight(ModelShape model, LayerShape layer) => [model.EmbeddingLength, Key(layer)];

    public static long[] ValueWeight(ModelShape model, LayerShape layer) => [model.EmbeddingLength, Value(layer)];

    public static long[] FusedWeight(ModelShape model, LayerShape layer) => [model.EmbeddingLength, RowOrders.FusedRows(layer)];

    public static long[] FusedBias(ModelShape model, LayerShape layer) => [RowOrders.FusedRows(layer)];

    public static long[] AttentionOut(ModelShape model, LayerShape layer) => [(long)layer.HeadCount * layer.ValueLength, model.EmbeddingLength];

    public static long[] HeadNorm(ModelShape _, LayerShape layer) => [layer.KeyLength];

    private static long Query(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;

    private static long Key(LayerShape layer) => (long)layer.KvHeadCount * layer.KeyLength;

    private static long Value(LayerShape layer) => (long)layer.KvHeadCount * layer.ValueLength;
}
