using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Falcon 7B's form, with one key head, and the newer one of 40B and 180B, with groups and two norms.</summary>
internal sealed class Falcon : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.word_embeddings.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("output_norm", "transformer.ln_f"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. NormWhere("blk.{}.attn_norm", "transformer.h.{}.input_layernorm", config => !HasTwoNorms(config)),
        .. NormWhere("blk.{}.attn_norm", "transformer.h.{}.ln_mlp", HasTwoNorms),
        .. NormWhere("blk.{}.attn_norm_2", "transformer.h.{}.ln_attn", HasTwoNorms),
        new("blk.{}.attn_qkv.weight", ((WeightRecipe)"transformer.h.{}.self_attention.query_key_value.weight").Rows(RowOrders.GroupedToFused), DecoderTensors.FusedWeight),
        new("blk.{}.attn_output.weight", "transformer.h.{}.self_attention.dense.weight", DecoderTensors.AttentionOut),
        new("blk.{}.ffn_up.weight", "transformer.h.{}.mlp.dense_h_to_4h.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_down.weight", "transformer.h.{}.mlp.dense_4h_to_h.weight", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "falcon";

    public override IReadOnlyList<string> HuggingFaceClasses => ["FalconForCausalLM", "RWForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override string BasePrefix => "transformer.";

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach ((string key, bool wanted, bool byDefault) in ((string, bool, bool)[])[("alibi", false, false), ("bias", false, false), ("parallel_attn", true, true)])
        {
            // The newer form is parallel whatever parallel_attn says.
            if ((config.OptionalBool(key) ?? byDefault) != wanted && !(key == "parallel_attn" && IsNew(config)))
                throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's falcon graph computes, {wanted} is");
        }
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-5f),
            LayerNorm = true,
            Activations = Activation.Gelu,
            FeedForwardFactor = 4,
            KvHeads = IsNew(config) ? config.OptionalInt(config.FirstOf("num_kv_heads", "n_head_kv")) : config.OptionalBool("multi_query") ?? true ? 1 : null,
        }.Read();
    }

    // The larger model's first configuration had key heads and no such key.
    private static bool IsNew(ConfigReader config) => config.OptionalBool("new_decoder_architecture") ?? config.Has("n_head_kv");

    private static bool HasTwoNorms(ConfigReader config) => IsNew(config) && (config.OptionalInt("num_ln_in_parallel_attn") ?? 2) == 2;

    private static IEnumerable<TensorRule> NormWhere(string gguf, string huggingFace, Func<ConfigReader, bool> when) =>
        BiasedTensors.Norm(gguf, huggingFace).Select(rule => rule with { When = when });
}
