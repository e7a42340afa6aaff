using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>What the three versions of Gemma share.</summary>
internal static class GemmaTensors
{
    /// <summary>Embedding and final norm; the output projection is the embedding.</summary>
    public static readonly TensorRule[] Ends =
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", Norm("model.norm.weight"), DecoderTensors.Embedding),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
    ];

    /// <summary>The norms of Gemma 2 and 3 around attention and the feed-forward network.</summary>
    public static readonly TensorRule[] FourNorms =
    [
        new("blk.{}.post_attention_norm.weight", Norm("model.layers.{}.post_attention_layernorm.weight"), DecoderTensors.Embedding),
        new("blk.{}.ffn_norm.weight", Norm("model.layers.{}.pre_feedforward_layernorm.weight"), DecoderTensors.Embedding),
        new("blk.{}.post_ffw_norm.weight", Norm("model.layers.{}.post_feedforward_layernorm.weight"), DecoderTensors.Embedding),
    ];

    /// <summary>Attention with Gemma's norm before it.</summary>
    public static IEnumerable<TensorRule> Attention(IEnumerable<TensorRule> rules) =>
        rules.Select(rule => rule.Gguf.EndsWith("attn_norm.weight", StringComparison.Ordinal) ? rule with { HuggingFace = rule.HuggingFace.Plus(1) } : rule);

    /// <summary>A norm's weight, which is kept as what is added to 1.</summary>
    public static WeightRecipe Norm(string name) => ((WeightRecipe)name).Plus(1);

    /// <summary>What queries are to be multiplied by so that the graph's own scale becomes the model's.</summary>
    /// <param name="layersOfLargest">The number of layers by which llama.cpp knows the version's largest model, the only one whose scale is not that of the head (gemma2.cpp, gemma3.cpp).</param>
    public static Func<Place, float> QueryScale(int layersOfLargest) => place =>
    {
        float wanted = place.Config.OptionalFloat("query_pre_attn_scalar", 1e-6f, 1e9f) ?? 256;
        int graph = place.Model.Layers.Length == layersOfLargest ? place.Model.EmbeddingLength / place.Layer.HeadCount : place.Layer.KeyLength;
        return MathF.Sqrt(graph / wanted);
    };

    public static void RequireCausal(ConfigReader config, string graph)
    {
        if (config.OptionalBool("use_bidirectional_attention") ?? false) throw new UnsupportedModelException($"config.json: use_bidirectional_attention: llama.cpp's {graph} graph attends to what came before only");
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException($"config.json: attention_bias: llama.cpp's {graph} graph has no bias on the output projection");
        if (DecoderTensors.UntiedIfSaid(config)) throw new UnsupportedModelException($"config.json: tie_word_embeddings: false is not what llama.cpp's {graph} graph computes, true is");
    }
}
