using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 3, dense: norms on each query and key head in place of biases.</summary>
internal sealed class Qwen3 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(RowOrder.AsStored, RowOrder.AsStored),
        new("blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", (_, layer) => [layer.KeyLength]),
        new("blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", (_, layer) => [layer.KeyLength]),
        .. DecoderTensors.GatedFeedForward,
    ]);

    public override string Name => "qwen3";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Qwen3ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's qwen3 graph has no bias on the output projection");
        return DecoderConfig.Read(config, Name, modelName, Qwen2.Window(config), graphReadsRotaryFactors: false);
    }

    private static bool AttentionBias(ConfigReader config) => config.OptionalBool("attention_bias") ?? false;
}
