using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Mistral: Llama's graph, with a sliding window in some versions.</summary>
internal sealed class Mistral : Architecture
{
    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["MistralForCausalLM"];

    public override TensorMap Tensors => Llama.Map;

    public override ArchitectureReading Read(ConfigReader config, string modelName) =>
        DecoderConfig.Read(config, Name, modelName, Window(config), graphReadsRotaryFactors: true);

    // transformers' MistralConfig has a window of 4096 unless the file says otherwise, if only with null.
    private static int? Window(ConfigReader config) => config.Mentions("sliding_window") ? config.OptionalInt("sliding_window") : 4096;
}
