using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

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

    /// <summary>What precedes the weights' names in a model with its output, and not in one that was saved without.</summary>
    public virtual string BasePrefix => "model.";

    /// <summary>Whether a stored tensor that no rule reads is none of the model's weights: a mask that the code makes again, a layer that it never computes.</summary>
    public virtual bool IsNoWeight(string name, ConfigReader config) => false;

    /// <summary>What llama.cpp's graph asserts about its hyperparameters.</summary>
    public virtual GraphTraits Graph => new();

    /// <summary>The family itself, or the one of another graph where this configuration needs that.</summary>
    public virtual Architecture For(ConfigReader config) => this;

    /// <summary>Reads config.json.</summary>
    /// <exception cref="CheckpointException">A value is missing or out of range.</exception>
    /// <exception cref="UnsupportedModelException">The configuration asks for something llama.cpp's graph does not compute.</exception>
    public abstract ArchitectureReading Read(ConfigReader config, string modelName);

    /// <summary>A layer as a GGUF file of this family describes it, completed by the keys that only this family has.</summary>
    /// <exception cref="CheckpointException">A key is missing or out of range.</exception>
    public virtual LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => layer;

    /// <summary>The tensors of a GGUF file of this family, as other converters write it, in the way that ours are.</summary>
    public virtual IEnumerable<(TensorSpec Spec, TensorSource Source)> Adapt(IReadOnlyList<(TensorSpec Spec, TensorSource Source)> tensors) => tensors;
}

/// <summary>What llama.cpp's graph asserts about its hyperparameters, and which of them it uses.</summary>
internal sealed record GraphTraits
{
    /// <summary>A limit for models that have none of their own, in tokens.</summary>
    public const int LongestContext = 1 << 20;

    /// <summary>How the model is driven.</summary>
    public ModelKind Kind { get; init; }

    /// <summary>Whether the context that a file states is what its authors used, and nothing in the graph ends there.</summary>
    public bool AnyContext { get; init; }

    /// <summary>Whether keys and values have one length.</summary>
    public bool EqualHeads { get; init; } = true;

    /// <summary>Whether rotary positions turn whole heads.</summary>
    public bool WholeHeads { get; init; } = true;

    /// <summary>Whether the query heads together are as wide as the model.</summary>
    public bool AsWideAsModel { get; init; }

    /// <summary>Whether the graph has sliding windows.</summary>
    public bool Windows { get; init; }

    /// <summary>Where a file does not say which layers have a window, every layer but each of this number has one; 0 where files always say.</summary>
    public int WindowPeriod { get; init; }
}

/// <summary>A configuration in llama.cpp's terms.</summary>
/// <param name="Shape">Hyperparameters; its tensor list is still empty.</param>
/// <param name="Metadata">GGUF keys of the architecture, without general and tokenizer keys.</param>
internal sealed record ArchitectureReading(ModelShape Shape, GgufMetadata Metadata)
{
    /// <summary>Tensors made from the configuration alone, such as divisors of the rotary frequencies.</summary>
    public IReadOnlyList<(string Name, float[] Values)> Constants { get; init; } = [];

    /// <summary>The same with one more of the architecture's keys.</summary>
    public ArchitectureReading With(string key, object value)
    {
        Metadata[$"{Shape.Architecture}.{key}"] = value;
        return this;
    }
}
