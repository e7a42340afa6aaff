using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Nemotron and Minitron: layer norms that multiply by one more than their weight, a squared ReLU, half of each head rotary.</summary>
internal sealed class Nemotron : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        .. Norm("output_norm", "model.norm"),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        .. DecoderTensors.Attention().Where(rule => rule.Gguf != "blk.{}.attn_norm.weight"),
        .. Norm("blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
        .. DecoderTensors.QkvBiases(when: DecoderTensors.AttentionBias),
        new("blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias", DecoderTensors.Embedding) { When = DecoderTensors.AttentionBias },
        .. Norm("blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.up_proj.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_up.bias", "model.layers.{}.mlp.up_proj.bias", DecoderTensors.FeedForward) { When = DecoderTensors.MlpBias },
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", DecoderTensors.FeedForwardOut),
        new("blk.{}.ffn_down.bias", "model.layers.{}.mlp.down_proj.bias", DecoderTensors.Embedding) { When = DecoderTensors.MlpBias },
    ]);

    public override string Name => "nemotron";

    public override IReadOnlyList<string> HuggingFaceClasses => ["NemotronForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("norm_eps", 1e-5f),
            LayerNorm = true,
            Activations = Activation.SquaredRelu,
            Context = 4096,
            PartialRotary = true,
            RotaryShare = 0.5f,
        }.Read();
    }

    private static IEnumerable<TensorRule> Norm(string gguf, string huggingFace) =>
        BiasedTensors.Norm(gguf, huggingFace).Select(rule => rule.Gguf.EndsWith(".weight", StringComparison.Ordinal) ? rule with { HuggingFace = rule.HuggingFace.Plus(1) } : rule);
}
