using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Tensors;

namespace NativeBigModel.Conversion;

/// <summary>Makes whole GGUF files: written beside their place, each tensor at once where it belongs, and renamed when complete.</summary>
internal static class GgufFile
{
    /// <summary>Writes the file; an existing one is replaced at the end.</summary>
    /// <returns>Its size, and where each tensor's data begins.</returns>
    public static (long Bytes, long[] Offsets) Write(string path, GgufMetadata metadata, IReadOnlyList<ModelTensor> tensors, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        IReadOnlyList<FilePart> parts = GgufParts.Lay(path, metadata, [.. tensors.Select(tensor => tensor.Spec)], null);
        ModelFiles.Write(parts, tensors, progress, cancel);
        return (parts[0].Bytes, parts[0].Offsets);
    }

    /// <summary>What <see cref="Write(string, GgufMetadata, IReadOnlyList{ModelTensor}, IProgress{LoadProgress}?, CancellationToken)"/> would return for these tensors.</summary>
    public static (long Bytes, long[] Offsets) Layout(GgufMetadata metadata, IReadOnlyList<ModelTensor> tensors)
    {
        FilePart whole = GgufParts.Lay("", metadata, [.. tensors.Select(tensor => tensor.Spec)], null)[0];
        return (whole.Bytes, whole.Offsets);
    }
}
