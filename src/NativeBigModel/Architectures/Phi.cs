using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Phi 1, 1.5 and 2: attention and the feed-forward network side by side behind one norm.</summary>
internal sealed class Phi : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("output_norm", "model.final_layernorm"),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        new("output.bias", "lm_head.bias", (model, _) => [model.VocabularySize]),
        .. BiasedTensors.Norm("blk.{}.attn_norm", "model.layers.{}.input_layernorm"),
        .. BiasedTensors.Linear("blk.{}.attn_q", "model.layers.{}.self_attn.q_proj", DecoderTensors.QueryWeight),
        .. BiasedTensors.Linear("blk.{}.attn_k", "model.layers.{}.self_attn.k_proj", DecoderTensors.KeyWeight),
        .. BiasedTensors.Linear("blk.{}.attn_v", "model.layers.{}.self_attn.v_proj", DecoderTensors.ValueWeight),
        .. BiasedTensors.Linear("blk.{}.attn_output", "model.layers.{}.self_attn.dense", DecoderTensors.AttentionOut),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "model.layers.{}.mlp.fc1", DecoderTensors.FeedForwardIn),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "model.layers.{}.mlp.fc2", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "phi2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["PhiForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalBool("qk_layernorm") ?? false) throw new UnsupportedModelException("config.json: qk_layernorm: llama.cpp's phi2 graph has no norms on queries and keys");
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_eps", 1e-5f),
            LayerNorm = true,
            Activations = Activation.Gelu,
            PartialRotary = true,
            RotaryShare = 0.5f,
        }.Read();
    }
}
