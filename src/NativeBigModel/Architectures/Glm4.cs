using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GLM-4-0414: GLM with norms behind attention and the feed-forward network too.</summary>
internal sealed class Glm4 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(when: Glm.HasBias),
        new("blk.{}.post_attention_norm.weight", "model.layers.{}.post_self_attn_layernorm.weight", DecoderTensors.Embedding),
        DecoderTensors.FeedForwardNorm,
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight", (model, layer) => [model.EmbeddingLength, 2L * layer.FeedForwardLength]),
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", DecoderTensors.FeedForwardOut),
        new("blk.{}.post_ffw_norm.weight", "model.layers.{}.post_mlp_layernorm.weight", DecoderTensors.Embedding),
    ]);

    public override string Name => "glm4";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Glm4ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName) => Glm.Config(config, Name, modelName).Read();
}
