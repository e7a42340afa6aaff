using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>BLOOM: positions as a slope on attention (ALiBi), a norm on the embedding, query, key and value together head by head.</summary>
internal sealed class Bloom : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.word_embeddings.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("token_embd_norm", "transformer.word_embeddings_layernorm"),
        .. BiasedTensors.Norm("output_norm", "transformer.ln_f"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. BiasedTensors.Norm("blk.{}.attn_norm", "transformer.h.{}.input_layernorm"),
        .. BiasedTensors.Linear("blk.{}.attn_qkv", "transformer.h.{}.self_attention.query_key_value", DecoderTensors.FusedWeight)
            .Select(rule => rule with { HuggingFace = rule.HuggingFace.Rows(RowOrders.GroupedToFused) }),
        .. BiasedTensors.Linear("blk.{}.attn_output", "transformer.h.{}.self_attention.dense", DecoderTensors.AttentionOut),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "transformer.h.{}.post_attention_layernorm"),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "transformer.h.{}.mlp.dense_h_to_4h", DecoderTensors.FeedForwardIn),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "transformer.h.{}.mlp.dense_4h_to_h", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "bloom";

    public override IReadOnlyList<string> HuggingFaceClasses => ["BloomForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalBool("apply_residual_connection_post_layernorm") ?? false)
            throw new UnsupportedModelException("config.json: apply_residual_connection_post_layernorm: true is not what llama.cpp's bloom graph computes, false is");
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-5f),
            LayerNorm = true,
            FeedForwardFactor = 4,
            Context = config.OptionalInt("seq_length", 1, 1 << 30) ?? 2048,
            RotaryShare = 0,
        }.Read();
    }
}
