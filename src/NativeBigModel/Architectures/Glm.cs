using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GLM-4 of 2024: Llama's graph once the fused projection is cut and the part of the heads that is not rotary is told in divisors of the frequencies.</summary>
internal sealed class Glm : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(when: HasBias),
        DecoderTensors.FeedForwardNorm,
        .. DecoderTensors.SplitGateUp,
    ]);

    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GlmForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName) =>
        (Config(config, Name, modelName) with { PartialRotary = false, SpreadsRotary = true, ReadsRotaryFactors = true }).Read();

    /// <summary>The configuration that both versions of GLM share.</summary>
    public static DecoderConfig Config(ConfigReader config, string graph, string modelName) => new(config, graph, modelName)
    {
        Epsilon = ("rms_norm_eps", 1.5625e-7f),
        HeadLength = 128,
        KvHeads = 2,
        Context = 131072,
        PartialRotary = true,
        RotaryShare = 0.5f,
    };

    public static bool HasBias(ConfigReader config) => config.OptionalBool("attention_bias") ?? false;
}
