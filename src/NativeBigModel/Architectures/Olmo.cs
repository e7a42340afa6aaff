using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>OLMo 1: layer norms without weights, projections clipped.</summary>
internal sealed class Olmo : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.Untied },
        .. DecoderTensors.Attention(RowOrders.HalvesToPairs).Where(rule => rule.Gguf != "blk.{}.attn_norm.weight"),
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "olmo";

    public override IReadOnlyList<string> HuggingFaceClasses => ["OlmoForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's olmo graph has no bias on the output projection");
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName) { Epsilon = ("layer_norm_eps", 1e-5f), LayerNorm = true }.Read();
        return config.OptionalFloat("clip_qkv", 1e-6f, 1e9f) is { } clip ? reading.With("attention.clamp_kqv", clip) : reading;
    }
}
