using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>OLMo 2: norms behind attention and the feed-forward network, and on queries and keys across all heads.</summary>
internal sealed class Olmo2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "model.norm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        .. DecoderTensors.Attention().Where(rule => rule.Gguf != "blk.{}.attn_norm.weight"),
        new("blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", (model, layer) => [(long)layer.HeadCount * layer.KeyLength]),
        new("blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", (model, layer) => [(long)layer.KvHeadCount * layer.KeyLength]),
        new("blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.GatedProjections,
        new("blk.{}.post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight", DecoderTensors.Embedding),
    ]);

    public override string Name => "olmo2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Olmo2ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, Windows = true, WindowPeriod = 4 };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's olmo2 graph has no bias on the output projection");
        return new DecoderConfig(config, Name, modelName) { Epsilon = ("rms_norm_eps", 1e-5f) }.Read();
    }
}
