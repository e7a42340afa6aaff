using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>StableLM 2 and 3B: layer norms, a quarter of each head rotary, in some versions norms on each head and a parallel residual.</summary>
internal sealed class StableLm : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("output_norm", "model.norm"),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        .. DecoderTensors.Attention(),
        new("blk.{}.attn_norm.bias", "model.layers.{}.input_layernorm.bias", DecoderTensors.Embedding),
        .. DecoderTensors.QkvBiases(when: config => config.OptionalBool("use_qkv_bias") ?? false),
        new("blk.{}.attn_q_norm.weight", HeadNorms("q"), (_, layer) => [layer.KeyLength, layer.HeadCount]) { When = HasHeadNorms },
        new("blk.{}.attn_k_norm.weight", HeadNorms("k"), (_, layer) => [layer.KeyLength, layer.KvHeadCount]) { When = HasHeadNorms },
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm").Select(rule => rule with { When = config => !IsParallel(config) }),
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "stablelm";

    public override IReadOnlyList<string> HuggingFaceClasses => ["StableLmForCausalLM", "StableLMEpochForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName) => new DecoderConfig(config, Name, modelName)
    {
        Epsilon = (config.FirstOf("layer_norm_eps", "norm_eps"), 1e-5f),
        LayerNorm = true,
        PartialRotary = true,
        RotaryShare = 0.25f,
        Context = 4096,
    }.Read().With("use_parallel_residual", IsParallel(config));

    private static bool IsParallel(ConfigReader config) => config.OptionalBool("use_parallel_residual") ?? false;

    private static bool HasHeadNorms(ConfigReader config) => config.OptionalBool("qk_layernorm") ?? false;

    // One norm for each head, each a weight of its own.
    private static WeightRecipe HeadNorms(string projection) => ((WeightRecipe)$"model.layers.{{}}.self_attn.{projection}_layernorm.norms.{{e}}.weight").OfExperts();
}
