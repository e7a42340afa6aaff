using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>MPT: positions as a slope on attention (ALiBi), layer norms without biases.</summary>
internal sealed class Mpt : Architecture
{
    private const string ClassOfTransformers = "MptForCausalLM";

    // What slopes end at, a power of a half, in every published model but one.
    private const int UsualBias = 8;

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.wte.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "transformer.norm_f.weight", DecoderTensors.Embedding),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        new("blk.{}.attn_norm.weight", "transformer.blocks.{}.norm_1.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_qkv.weight", "transformer.blocks.{}.attn.Wqkv.weight", DecoderTensors.FusedWeight),
        new("blk.{}.attn_output.weight", "transformer.blocks.{}.attn.out_proj.weight", DecoderTensors.AttentionOut),
        new("blk.{}.ffn_norm.weight", "transformer.blocks.{}.norm_2.weight", DecoderTensors.Embedding),
        new("blk.{}.ffn_up.weight", "transformer.blocks.{}.ffn.up_proj.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_down.weight", "transformer.blocks.{}.ffn.down_proj.weight", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "mpt";

    public override IReadOnlyList<string> HuggingFaceClasses => [ClassOfTransformers, "MPTForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        ConfigReader? attention = config.OptionalObject("attn_config");
        foreach ((string key, bool wanted) in ((string, bool)[])[("alibi", true), ("qk_ln", false), ("prefix_lm", false)])
        {
            if ((attention?.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: attn_config.{key}: {!wanted} is not supported for this family, {wanted} is");
        }
        if (attention?.Has("softmax_scale") ?? false) throw new UnsupportedModelException("config.json: attn_config.softmax_scale: llama.cpp's mpt graph has that of the head");
        foreach ((ConfigReader? at, string key, string[] known) in ((ConfigReader?, string, string[])[])
            [(attention, "attn_type", ["multihead_attention"]), (config, "norm_type", ["low_precision_layernorm", "layernorm"])])
        {
            if (at?.OptionalString(key) is { } value && !known.Contains(value)) throw new UnsupportedModelException($"config.json: {key}: '{value}' is not supported for this family, {known[0]} is");
        }
        if (config.Has("logit_scale")) throw new UnsupportedModelException("config.json: logit_scale: llama.cpp's mpt graph has none");
        if (!(config.OptionalBool("no_bias") ?? true)) throw new UnsupportedModelException("config.json: no_bias: false is not supported for this family, true is");
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-5f),
            LayerNorm = true,
            FeedForwardFactor = config.OptionalInt("expansion_ratio", 1, 1024) ?? 4,
            RotaryShare = 0,
        }.Read().With("attention.max_alibi_bias", (float)MaxBias(config, attention));
        return attention?.OptionalFloat("clip_qkv", 1e-6f, 1e9f) is { } clip ? reading.With("attention.clamp_kqv", clip) : reading;
    }

    // transformers' own class never reads the key (modeling_mpt.py, build_mpt_alibi_tensor); that of the models' authors does.
    private static int MaxBias(ConfigReader config, ConfigReader? attention) =>
        config.Strings("architectures").First() == ClassOfTransformers ? UsualBias : attention?.OptionalInt("alibi_bias_max", 1, 1024) ?? UsualBias;
}
