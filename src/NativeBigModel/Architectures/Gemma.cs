using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Gemma 1: norms that multiply by one more than their weight.</summary>
internal sealed class Gemma : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. GemmaTensors.Ends,
        .. GemmaTensors.Attention(DecoderTensors.Attention()),
        new("blk.{}.ffn_norm.weight", GemmaTensors.Norm("model.layers.{}.post_attention_layernorm.weight"), DecoderTensors.Embedding),
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "gemma";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GemmaForCausalLM"];

    public override TensorMap Tensors => s_map;

    // Published files say gelu and mean its approximation; the class's own default is the latter.
    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        GemmaTensors.RequireCausal(config, Name);
        return new DecoderConfig(config, Name, modelName) { Activations = ["gelu_pytorch_tanh", "gelu"], HeadLength = 256, Context = 8192 }.Read();
    }
}
