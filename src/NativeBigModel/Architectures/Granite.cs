using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Granite 3: Llama with multipliers on embedding, attention, residual and output.</summary>
internal sealed class Granite : Architecture
{
    public override string Name => "granite";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GraniteForCausalLM"];

    public override TensorMap Tensors => Llama.Map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        float Multiplier(string key) => config.OptionalFloat(key, 1e-9f, 1e9f) ?? 1;
        return new DecoderConfig(config, Name, modelName) { ReadsRotaryFactors = true }.Read()
            .With("embedding_scale", Multiplier("embedding_multiplier"))
            .With("attention.scale", Multiplier("attention_multiplier"))
            .With("residual_scale", Multiplier("residual_multiplier"))
            .With("logit_scale", Multiplier("logits_scaling"));
    }
}
