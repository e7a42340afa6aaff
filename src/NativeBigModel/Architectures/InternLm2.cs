using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>InternLM 2 and 2.5: Llama, with query, key and value together by group of a key head.</summary>
internal sealed class InternLm2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.tok_embeddings.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "model.norm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("output.weight", "model.tok_embeddings.weight", DecoderTensors.Untied),
        new("blk.{}.attn_norm.weight", "model.layers.{}.attention_norm.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_q.weight", RowOrders.QueryOfGroups(Fused).Rows(RowOrders.HalvesToPairs), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", RowOrders.KeyOfGroups(Fused).Rows(RowOrders.HalvesToPairs), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", RowOrders.ValueOfGroups(Fused), DecoderTensors.ValueWeight),
        new("blk.{}.attn_output.weight", "model.layers.{}.attention.wo.weight", DecoderTensors.AttentionOut),
        new("blk.{}.ffn_norm.weight", "model.layers.{}.ffn_norm.weight", DecoderTensors.Embedding),
        new("blk.{}.ffn_gate.weight", "model.layers.{}.feed_forward.w1.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_up.weight", "model.layers.{}.feed_forward.w3.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_down.weight", "model.layers.{}.feed_forward.w2.weight", DecoderTensors.FeedForwardOut),
    ]);

    private static WeightRecipe Fused => "model.layers.{}.attention.wqkv.weight";

    public override string Name => "internlm2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["InternLM2ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName) =>
        config.OptionalBool("bias") ?? true
            ? throw new UnsupportedModelException("config.json: bias: true is not what llama.cpp's internlm2 graph computes, false is")
            : new DecoderConfig(config, Name, modelName).Read();
}
