using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Mixtral: Mistral with experts in place of the feed-forward network.</summary>
internal sealed class Mixtral : Architecture
{
    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["MixtralForCausalLM"];

    public override TensorMap Tensors => Llama.Map;

    public override ArchitectureReading Read(ConfigReader config, string modelName) => new DecoderConfig(config, Name, modelName)
    {
        Epsilon = ("rms_norm_eps", 1e-5f),
        KvHeads = 8,
        Context = 131072,
        RotaryBase = 1e6f,
        ReadsRotaryFactors = true,
        MissingWindow = config.OptionalInt("sliding_window"),
        Experts = ExpertTensors.Count(config, ("num_local_experts", 8), ("num_experts_per_tok", 2)),
        Layer = (layer, _) => layer with { ExpertLength = layer.FeedForwardLength },
    }.Read();
}
