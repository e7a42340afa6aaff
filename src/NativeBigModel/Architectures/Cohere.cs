using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Command R: attention and the feed-forward network side by side behind one layer norm, rotary pairs as llama.cpp has them.</summary>
internal sealed class Cohere : Architecture
{
    // llama.cpp's graph has norms on queries and keys from this many layers on (command-r.cpp).
    private const int LayersWithHeadNorms = 64;

    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.TiedEnds,
        .. DecoderTensors.Attention(),
        new("blk.{}.attn_q_norm.weight", "model.layers.{}.self_attn.q_norm.weight", (_, layer) => [layer.KeyLength, layer.HeadCount]) { When = HasHeadNorms },
        new("blk.{}.attn_k_norm.weight", "model.layers.{}.self_attn.k_norm.weight", (_, layer) => [layer.KeyLength, layer.KvHeadCount]) { When = HasHeadNorms },
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "command-r";

    public override IReadOnlyList<string> HuggingFaceClasses => ["CohereForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's command-r graph has no bias on the output projection");
        if (DecoderTensors.UntiedIfSaid(config)) throw new UnsupportedModelException("config.json: tie_word_embeddings: false is not what llama.cpp's command-r graph computes, true is");
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName) { Epsilon = ("layer_norm_eps", 1e-5f), LayerNorm = true, Context = 8192 }.Read();
        int layers = reading.Shape.Layers.Length;
        if (HasHeadNorms(config) != layers >= LayersWithHeadNorms)
            throw new UnsupportedModelException($"config.json: use_qk_norm: is {HasHeadNorms(config)} with {layers} layers, and llama.cpp's command-r graph has norms on queries and keys from {LayersWithHeadNorms} layers on");
        return reading.With("logit_scale", config.OptionalFloat("logit_scale", 0, 1e6f) ?? 0.0625f);
    }

    private static bool HasHeadNorms(ConfigReader config) => config.OptionalBool("use_qk_norm") ?? false;
}
