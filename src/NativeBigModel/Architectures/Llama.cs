using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Llama 1, 2 and 3.x, and everything published under the same class.</summary>
internal sealed class Llama : Architecture
{
    /// <summary>The map of llama.cpp's llama graph, which Mistral shares.</summary>
    public static readonly TensorMap Map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(RowOrder.QueryPairs, RowOrder.KeyPairs),
        .. DecoderTensors.QkvBiases(RowOrder.QueryPairs, RowOrder.KeyPairs, AttentionBias),
        new("blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias", DecoderTensors.Embedding) { When = AttentionBias },
        .. DecoderTensors.GatedFeedForward,
        new("blk.{}.ffn_gate.bias", "model.layers.{}.mlp.gate_proj.bias", DecoderTensors.FeedForward) { When = MlpBias },
        new("blk.{}.ffn_up.bias", "model.layers.{}.mlp.up_proj.bias", DecoderTensors.FeedForward) { When = MlpBias },
        new("blk.{}.ffn_down.bias", "model.layers.{}.mlp.down_proj.bias", DecoderTensors.Embedding) { When = MlpBias },
    ]);

    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["LlamaForCausalLM"];

    public override TensorMap Tensors => Map;

    public override ArchitectureReading Read(ConfigReader config, string modelName) =>
        DecoderConfig.Read(config, Name, modelName, window: null, graphReadsRotaryFactors: true);

    private static bool AttentionBias(ConfigReader config) => config.OptionalBool("attention_bias") ?? false;

    private static bool MlpBias(ConfigReader config) => config.OptionalBool("mlp_bias") ?? false;
}
