using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Phi-3, 3.5 and 4: Llama with query, key and value in one tensor and gate and up in another; with a window that matters it is computed as one.</summary>
internal sealed class Phi3 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_qkv.weight", Fused, DecoderTensors.FusedWeight),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", DecoderTensors.AttentionOut),
        DecoderTensors.FeedForwardNorm,
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.gate_up_proj.weight", (model, layer) => [model.EmbeddingLength, 2L * layer.FeedForwardLength]),
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.down_proj.weight", DecoderTensors.FeedForwardOut),
    ]);

    private static readonly TensorMap s_likeLlama = new(
    [
        .. DecoderTensors.Ends,
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_q.weight", Part(_ => 0).Rows(RowOrders.HalvesToPairs), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", Part(Queries).Rows(RowOrders.HalvesToPairs), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", Part(layer => Queries(layer) + (long)layer.KvHeadCount * layer.KeyLength), DecoderTensors.ValueWeight),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", DecoderTensors.AttentionOut),
        DecoderTensors.FeedForwardNorm,
        .. DecoderTensors.SplitGateUp,
    ]);

    public override string Name => "phi3";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Phi3ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override Architecture For(ConfigReader config)
    {
        int? window = config.OptionalInt("sliding_window");
        return WindowedLlama.Matters(window, Decoder(config, Name, "")) ? new WindowedLlama(s_likeLlama, Decoder, WindowedLlama.Everywhere(window!.Value, config)) : this;
    }

    public override ArchitectureReading Read(ConfigReader config, string modelName) => (Decoder(config, Name, modelName) with { PartialRotary = true }).Read();

    private static DecoderConfig Decoder(ConfigReader config, string graph, string modelName) => new(config, graph, modelName) { Epsilon = ("rms_norm_eps", 1e-5f), Context = 4096, ReadsLongRope = true };

    private static WeightRecipe Fused => "model.layers.{}.self_attn.qkv_proj.weight";

    private static WeightRecipe Part(Func<LayerShape, long> first) => Fused.Rows(place => RowOrders.From(first(place.Layer)), place => RowOrders.FusedRows(place.Layer));

    private static long Queries(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;
}
