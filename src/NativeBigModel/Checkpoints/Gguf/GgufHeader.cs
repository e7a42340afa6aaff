namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>What stands before the data of one GGUF file.</summary>
/// <param name="Path">Full path of the file.</param>
/// <param name="Version">2 or 3.</param>
/// <param name="Metadata">Keys and values, in file order.</param>
/// <param name="Tensors">In file order; their shapes are outermost first, their types ggml's.</param>
internal sealed record GgufHeader(string Path, uint Version, GgufMetadata Metadata, IReadOnlyList<(TensorSpec Spec, long Offset)> Tensors);
