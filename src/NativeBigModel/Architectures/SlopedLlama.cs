using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Llama with slopes on attention (ALiBi) in place of rotary positions: llama.cpp's graph of Refact.</summary>
/// <param name="likeLlama">The tensors, with queries and keys as they are stored.</param>
/// <param name="read">Reads the configuration for a graph.</param>
internal sealed class SlopedLlama(TensorMap likeLlama, Func<ConfigReader, string, string, DecoderConfig>? read) : Architecture
{
    /// <summary>The graph as it is in a GGUF file.</summary>
    public SlopedLlama() : this(Llama.Map, null) { }

    public override string Name => "refact";

    public override IReadOnlyList<string> HuggingFaceClasses => [];

    public override TensorMap Tensors => likeLlama;

    public override GraphTraits Graph => new() { WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName) => read is not null
        ? (read(config, Name, modelName) with { RotaryShare = 0 }).Read()
        : throw new UnsupportedModelException($"config.json: architectures: no class of transformers is {Name}");
}
