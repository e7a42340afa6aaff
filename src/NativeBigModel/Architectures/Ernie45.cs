using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>ERNIE 4.5, dense: Llama with rotary pairs as llama.cpp has them.</summary>
internal sealed class Ernie45 : Architecture
{
    private static readonly TensorMap s_map = new([.. DecoderTensors.TiedEnds, .. DecoderTensors.Attention(), .. DecoderTensors.GatedFeedForward]);

    public override string Name => "ernie4_5";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Ernie4_5ForCausalLM", "Ernie4_5_ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalBool("use_bias") ?? false) throw new UnsupportedModelException("config.json: use_bias: llama.cpp's ernie4_5 graph has no biases on the feed-forward network");
        return new DecoderConfig(config, Name, modelName) { Epsilon = ("rms_norm_eps", 1e-5f), HeadLength = 128, KvHeads = 2, Context = 131072, RotaryBase = 500000 }.Read();
    }
}
