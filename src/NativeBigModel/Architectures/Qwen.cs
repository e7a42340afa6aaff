using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 1: Qwen 2's graph under other names, with query, key and value in one tensor.</summary>
internal sealed class Qwen : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.wte.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "transformer.ln_f.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "transformer.wte.weight", DecoderTensors.Untied),
        new("blk.{}.attn_norm.weight", "transformer.h.{}.ln_1.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_q.weight", Part("weight", 0), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", Part("weight", 1), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", Part("weight", 2), DecoderTensors.ValueWeight),
        new("blk.{}.attn_q.bias", Part("bias", 0), (_, layer) => [Width(layer)]),
        new("blk.{}.attn_k.bias", Part("bias", 1), (_, layer) => [Width(layer)]),
        new("blk.{}.attn_v.bias", Part("bias", 2), (_, layer) => [Width(layer)]),
        new("blk.{}.attn_output.weight", "transformer.h.{}.attn.c_proj.weight", DecoderTensors.AttentionOut),
        new("blk.{}.ffn_norm.weight", "transformer.h.{}.ln_2.weight", DecoderTensors.Embedding),
        // The second of the two goes through the activation.
        new("blk.{}.ffn_gate.weight", "transformer.h.{}.mlp.w2.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_up.weight", "transformer.h.{}.mlp.w1.weight", DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_down.weight", "transformer.h.{}.mlp.c_proj.weight", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "qwen2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["QWenLMHeadModel"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach ((string key, bool wanted) in ((string, bool)[])[("no_bias", true), ("scale_attn_weights", true)])
        {
            if ((config.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's qwen2 graph computes, {wanted} is");
        }
        int trained = config.OptionalInt("seq_length", 1, 1 << 30) ?? 2048;
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-6f),
            HeadLength = config.OptionalInt("kv_channels", 2, DecoderConfig.MaxExtent),
            Context = trained,
            // Both halves of the network count.
            Heads = layer => layer with { FeedForwardLength = layer.FeedForwardLength / 2 },
        }.Read();
        if (trained >= reading.Shape.ContextLength) return reading;
        // Beyond it the model's code changes frequencies and attention with the length of the text.
        string cap = $"the context is capped at {trained} tokens: beyond that the model scales its rotary positions and attention by the length of the text, which llama.cpp's {Name} graph does not";
        return (reading with { Shape = reading.Shape with { ContextLength = trained, ContextCap = cap } }).With("context_length", (uint)trained);
    }

    private static WeightRecipe Part(string kind, int part) => ((WeightRecipe)$"transformer.h.{{}}.attn.c_attn.{kind}")
        .Rows(place => RowOrders.From(part * Width(place.Layer)), place => 3 * Width(place.Layer));

    private static long Width(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;
}
