using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Llama 1, 2 and 3.x, and everything published under the same class.</summary>
internal sealed class Llama : Architecture
{
    /// <summary>The map of llama.cpp's llama graph, which Mistral and Mixtral share.</summary>
    public static readonly TensorMap Map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(RowOrders.HalvesToPairs),
        .. DecoderTensors.QkvBiases(RowOrders.HalvesToPairs, DecoderTensors.AttentionBias),
        new("blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias", DecoderTensors.Embedding) { When = DecoderTensors.AttentionBias },
        .. DecoderTensors.GatedFeedForward,
        .. DecoderTensors.GatedFeedForwardBiases,
        .. ExpertTensors.Of("model.layers.{}.block_sparse_moe.", "gate.weight", "experts.{e}.", ("w1", "w3", "w2")),
    ]);

    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["LlamaForCausalLM", "LLaMAForCausalLM"];

    public override TensorMap Tensors => Map;

    public override ArchitectureReading Read(ConfigReader config, string modelName) => new DecoderConfig(config, Name, modelName) { ReadsRotaryFactors = true }.Read();

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => keys.Long("llama.expert_count") is > 0 ? layer with { ExpertLength = layer.FeedForwardLength } : layer;
}
