using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Tensor rules that the Llama-like decoders share: the names transformers gives them and the shapes llama.cpp expects.</summary>
internal static class DecoderTensors
{
    /// <summary>Embedding, final norm and output projection.</summary>
    public static readonly TensorRule[] Ends =
    [
        new("token_embd.weight", "model.embed_tokens.weight", Vocabulary),
        new("output_norm.weight", "model.norm.weight", Embedding),
        new("output.weight", "lm_head.weight", Vocabulary) { When = Untied },
    ];

    /// <summary>A gated feed-forward network behind its norm.</summary>
    public static readonly TensorRule[] GatedFeedForward =
    [
        new("blk.{}.ffn_norm.weight", "model.layers.{}.post_attention_layernorm.weight", Embedding),
        new("blk.{}.ffn_gate.weight", "model.layers.{}.mlp.gate_proj.weight", FeedForwardIn),
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight", FeedForwardIn),
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", FeedForwardOut),
    ];

    /// <summary>Attention projections behind their norm, with the rotary row order that the family's graph wants.</summary>
    public static TensorRule[] Attention(RowOrder query, RowOrder key) =>
    [
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", Embedding),
        new("blk.{}.attn_q.weight", "model.layers.{}.self_attn.q_proj.weight", (model, layer) => [model.EmbeddingLength, Query(layer)]) { Order = query },
        new("blk.{}.attn_k.weight", "model.layers.{}.self_attn.k_proj.weight", (model, layer) => [model.EmbeddingLength, Key(layer)]) { Order = key },
        new("blk.{}.attn_v.weight", "model.layers.{}.self_attn.v_proj.weight", (model, layer) => [model.EmbeddingLength, Value(layer)]),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", (model, layer) => [Query(layer), model.EmbeddingLength]),
    ];

    /// <summary>Biases of the query, key and value projections.</summary>
    public static TensorRule[] QkvBiases(RowOrder query, RowOrder key, Func<ConfigReader, bool>? when = null) =>
    [
        new("blk.{}.attn_q.bias", "model.layers.{}.self_attn.q_proj.bias", (_, layer) => [Query(layer)]) { Order = query, When = when },
        new("blk.{}.attn_k.bias", "model.layers.{}.self_attn.k_proj.bias", (_, layer) => [Key(layer)]) { Order = key, When = when },
        new("blk.{}.attn_v.bias", "model.layers.{}.self_attn.v_proj.bias", (_, layer) => [Value(layer)]) { When = when },
    ];

    public static long[] Embedding(ModelShape model, LayerShape _) => [model.EmbeddingLength];

    public static long[] FeedForward(ModelShape _, LayerShape layer) => [layer.FeedForwardLength];

    public static bool Untied(ConfigReader config) => !(config.OptionalBool("tie_word_embeddings") ?? false);

    private static long[] Vocabulary(ModelShape model, LayerShape _) => [model.EmbeddingLength, model.VocabularySize];

    private static long[] FeedForwardIn(ModelShape model, LayerShape layer) => [model.EmbeddingLength, layer.FeedForwardLength];

    private static long[] FeedForwardOut(ModelShape model, LayerShape layer) => [layer.FeedForwardLength, model.EmbeddingLength];

    private static long Query(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;

    private static long Key(LayerShape layer) => (long)layer.KvHeadCount * layer.KeyLength;

    private static long Value(LayerShape layer) => (long)layer.KvHeadCount * layer.ValueLength;
}
