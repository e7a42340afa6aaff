using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>
/// One family of models: how its Hugging Face configuration and tensor names read in llama.cpp's terms.
/// To add one, write a file with a subclass and register it in <see cref="ArchitectureRegistry"/>.
/// </summary>
internal abstract class Architecture
{
    /// <summary>llama.cpp's name, the value of <c>general.architecture</c>.</summary>
    public abstract string Name { get; }

    /// <summary>The values of <c>architectures[0]</c> in config.json that this family reads.</summary>
    public abstract IReadOnlyList<string> HuggingFaceClasses { get; }

    /// <summary>Every tensor, under both names, with its shape.</summary>
    public abstract TensorMap Tensors { get; }

    /// <summary>Reads config.json.</summary>
    /// <exception cref="CheckpointException">A value is missing or out of range.</exception>
    /// <exception cref="UnsupportedModelException">The configuration asks for something llama.cpp's graph does not compute.</exception>
    public abstract ArchitectureReading Read(ConfigReader config, string modelName);
}

/// <summary>A configuration in llama.cpp's terms.</summary>
/// <param name="Shape">Hyperparameters; its tensor list is still empty.</param>
/// <param name="Metadata">GGUF keys of the architecture, without general and tokenizer keys.</param>
internal sealed record ArchitectureReading(ModelShape Shape, GgufMetadata Metadata)
{
    /// <summary>Per-dimension divisors of the rotary frequencies (<c>rope_freqs.weight</c>), where the scaling needs them.</summary>
    public float[]? RotaryFactors { get; init; }
}
