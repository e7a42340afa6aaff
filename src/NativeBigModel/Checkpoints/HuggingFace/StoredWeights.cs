using System.Collections.Immutable;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Tensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>A weight by the name that transformers gives it, however it is stored.</summary>
/// <param name="Shape">Extents, outermost first, as PyTorch prints them.</param>
/// <param name="Source">Its rows; a row is the innermost extent.</param>
internal sealed record StoredWeight(ImmutableArray<long> Shape, TensorSource Source);

/// <summary>The weights of a Hugging Face folder. Architectures ask for them by name, and never see how they are stored.</summary>
internal sealed class StoredWeights
{
    private readonly FolderTensors _files;

    private StoredWeights(FolderTensors files) => _files = files;

    /// <summary>Whether any weight's data is there.</summary>
    public bool HasData => _files.HasData;

    /// <summary>The file that says which weights there are, for error messages.</summary>
    public string IndexName => _files.IndexName;

    /// <summary>Every weight that is stored, and the file that holds it.</summary>
    public IEnumerable<(string Name, string File)> All => _files.Stored.Select(tensor => (tensor.Name, Path.GetFileName(tensor.File)));

    public static StoredWeights Of(FolderTensors files, ConfigReader config)
    {
        return new(files);
    }

    /// <summary>Whether the checkpoint would have the weight if its files were there; without an index, any name may be.</summary>
    public bool Names(string name) => _files.Names(name);

    /// <summary>The weight, or null where no file holds it.</summary>
    /// <exception cref="UnsupportedModelException">It is stored in a way that is not read yet.</exception>
    public StoredWeight? Find(string name) => _files.Find(name) is { } tensor ? Plain(tensor) : null;

    private static StoredWeight Plain(StoredTensor tensor)
    {
        TensorType type = SafetensorsTypes.AsTensorType(tensor.DataType)
            ?? throw new UnsupportedModelException($"{Path.GetFileName(tensor.File)}: {tensor.Name}: element type {tensor.DataType} is not read yet; F32, F16 and BF16 are");
        long columns = tensor.Shape.IsEmpty ? 1 : tensor.Shape[^1], rows = tensor.Shape.SkipLast(1).Aggregate(1L, (product, extent) => product * extent);
        return new(tensor.Shape, tensor.ColumnMajor ? new ColumnSource(tensor, type, rows, columns) : new StoredSource(tensor, type, rows, columns));
    }
}
