using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Mistral: Llama's graph, with a sliding window in some versions.</summary>
internal sealed class Mistral : Architecture
{
    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["MistralForCausalLM"];

    public override TensorMap Tensors => Llama.Map;

    public override Architecture For(ConfigReader config) =>
        WindowedLlama.Matters(Window(config), Decoder(config, Name, "")) ? new WindowedLlama(Llama.Map, Decoder, WindowedLlama.Everywhere(Window(config)!.Value, config)) : this;

    public override ArchitectureReading Read(ConfigReader config, string modelName) => Decoder(config, Name, modelName).Read();

    private static DecoderConfig Decoder(ConfigReader config, string graph, string modelName) => new(config, graph, modelName) { KvHeads = 8, Context = 131072, ReadsRotaryFactors = true };

    // transformers' MistralConfig has a window of 4096 unless the file says otherwise, if only with null.
    private static int? Window(ConfigReader config) => config.Mentions("sliding_window") ? config.OptionalInt("sliding_window") : 4096;
}
