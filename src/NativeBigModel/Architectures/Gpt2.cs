using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GPT-2: learned positions, and projections that are stored transposed (transformers' Conv1D).</summary>
internal sealed class Gpt2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.wte.weight", DecoderTensors.Vocabulary),
        new("position_embd.weight", "transformer.wpe.weight", (model, _) => [model.EmbeddingLength, model.ContextLength]),
        .. BiasedTensors.Norm("output_norm", "transformer.ln_f"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. BiasedTensors.Norm("blk.{}.attn_norm", "transformer.h.{}.ln_1"),
        .. Turned(BiasedTensors.Linear("blk.{}.attn_qkv", "transformer.h.{}.attn.c_attn", DecoderTensors.FusedWeight)),
        .. Turned(BiasedTensors.Linear("blk.{}.attn_output", "transformer.h.{}.attn.c_proj", DecoderTensors.AttentionOut)),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "transformer.h.{}.ln_2"),
        .. Turned(BiasedTensors.Linear("blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc", DecoderTensors.FeedForwardIn)),
        .. Turned(BiasedTensors.Linear("blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj", DecoderTensors.FeedForwardOut)),
    ]);

    public override string Name => "gpt2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GPT2LMHeadModel"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override bool IsNoWeight(string name, ConfigReader config) => GptJTensors.IsMask(name);

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (!(config.OptionalBool("scale_attn_weights") ?? true)) throw new UnsupportedModelException("config.json: scale_attn_weights: false is not what llama.cpp's gpt2 graph computes, true is");
        if (config.OptionalBool("scale_attn_by_inverse_layer_idx") ?? false) throw new UnsupportedModelException("config.json: scale_attn_by_inverse_layer_idx: true is not what llama.cpp's gpt2 graph computes, false is");
        if (config.OptionalBool("add_cross_attention") ?? false) throw new UnsupportedModelException("config.json: add_cross_attention: llama.cpp's gpt2 graph has no encoder");
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-5f),
            LayerNorm = true,
            Activations = Activation.Gelu,
            FeedForwardFactor = 4,
            Context = 1024,
            RotaryShare = 0,
        }.Read();
    }

    private static IEnumerable<TensorRule> Turned(IEnumerable<TensorRule> rules) =>
        rules.Select(rule => rule.Gguf.EndsWith(".weight", StringComparison.Ordinal) ? rule with { HuggingFace = rule.HuggingFace.Transposed() } : rule);
}
