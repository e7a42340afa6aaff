using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 3, dense: norms on each query and key head in place of biases.</summary>
internal sealed class Qwen3 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.HeadNorms,
        .. DecoderTensors.GatedFeedForward,
    ]);

    public override string Name => "qwen3";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Qwen3ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's qwen3 graph has no bias on the output projection");
        return new DecoderConfig(config, Name, modelName) { MissingWindow = Qwen2.Window(config), HeadLength = 128 }.Read();
    }
}
