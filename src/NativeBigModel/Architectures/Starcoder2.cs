using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>StarCoder 2: layer norms, a plain feed-forward network, biases throughout.</summary>
internal sealed class Starcoder2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.TiedEnds,
        new("output_norm.bias", "model.norm.bias", DecoderTensors.Embedding),
        .. DecoderTensors.Attention(),
        new("blk.{}.attn_norm.bias", "model.layers.{}.input_layernorm.bias", DecoderTensors.Embedding),
        .. DecoderTensors.QkvBiases(when: HasBias),
        .. DecoderTensors.BiasOrZero("blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias", DecoderTensors.Embedding, HasBias),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "model.layers.{}.post_attention_layernorm"),
        new("blk.{}.ffn_up.weight", "model.layers.{}.mlp.c_fc.weight", DecoderTensors.FeedForwardIn),
        .. DecoderTensors.BiasOrZero("blk.{}.ffn_up.bias", "model.layers.{}.mlp.c_fc.bias", DecoderTensors.FeedForward, HasBias),
        new("blk.{}.ffn_down.weight", "model.layers.{}.mlp.c_proj.weight", DecoderTensors.FeedForwardOut),
        .. DecoderTensors.BiasOrZero("blk.{}.ffn_down.bias", "model.layers.{}.mlp.c_proj.bias", DecoderTensors.Embedding, HasBias),
    ]);

    public override string Name => "starcoder2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Starcoder2ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName) => new DecoderConfig(config, Name, modelName)
    {
        Epsilon = ("norm_epsilon", 1e-5f),
        LayerNorm = true,
        Activations = ["gelu_pytorch_tanh", "gelu", "gelu_new"],
        KvHeads = 2,
        Context = 4096,
        MissingWindow = config.OptionalInt("sliding_window"),
    }.Read();

    private static bool HasBias(ConfigReader config) => config.OptionalBool("use_bias") ?? true;
}
