using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Tensors;

/// <summary>A model in the engine's terms, ready to be written to a GGUF file or loaded into memory: keys, tensors, and where each tensor's rows come from.</summary>
/// <param name="Shape">Hyperparameters and tensor list.</param>
/// <param name="Metadata">Every GGUF key.</param>
/// <param name="Tensors">In file order; each one's <see cref="ModelTensor.Spec"/> is what stands in <see cref="ModelShape.Tensors"/>.</param>
internal sealed record ModelDefinition(ModelShape Shape, GgufMetadata Metadata, IReadOnlyList<ModelTensor> Tensors);

/// <summary>One tensor of a <see cref="ModelDefinition"/>.</summary>
/// <param name="Spec">Name, shape and type that it will have.</param>
/// <param name="Source">Its rows, in the type they are stored in.</param>
internal sealed record ModelTensor(TensorSpec Spec, TensorSource Source)
{
    /// <summary>How much each column of each of its matrices matters to the quantiser, or null where all do alike.</summary>
    public float[]? Importance { get; init; }

    /// <summary>Rows of one matrix of it.</summary>
    public long MatrixRows => Spec.Dimensions.Length > 1 ? Spec.Dimensions[1] : 1;
}
