using System.Collections.Immutable;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Tensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>A weight under its logical name, however it is stored.</summary>
/// <param name="Shape">Extents as PyTorch has them, outermost first.</param>
/// <param name="Source">Its rows; a column for each element of the last extent.</param>
internal sealed record StoredWeight(ImmutableArray<long> Shape, TensorSource Source);

/// <summary>The weights of a Hugging Face folder by their logical names.</summary>
internal sealed class StoredWeights
{
    private readonly FolderTensors _files;

    private StoredWeights(FolderTensors files) => _files = files;

    /// <summary>The weights as the files hold them.</summary>
    /// <exception cref="UnsupportedModelException">The configuration says that they are quantised.</exception>
    public static StoredWeights Of(FolderTensors files, ConfigReader config)
    {
        if (config.Has("quantization_config"))
            throw new UnsupportedModelException($"config.json: quantization_config: quantised checkpoints ('{config.OptionalObject("quantization_config")!.OptionalString("quant_method") ?? "unnamed"}') are not read yet");
        return new(files);
    }

    /// <summary>The file that says which weights there are, for error messages.</summary>
    public string IndexName => _files.IndexName;

    /// <summary>Whether any weight's data is there.</summary>
    public bool HasData => _files.HasData;

    /// <summary>Every weight whose data is there.</summary>
    public IEnumerable<string> All => _files.Stored.Select(tensor => tensor.Name);

    /// <summary>The file that holds a weight.</summary>
    public string FileOf(string name) => _files.Find(name) is { } tensor ? Path.GetFileName(tensor.File) : IndexName;

    /// <summary>Whether the checkpoint would have the weight if its shards were there; without an index, any name may be.</summary>
    public bool Names(string name) => _files.Names(name);

    /// <exception cref="UnsupportedModelException">Its elements are of a type that is not read.</exception>
    public StoredWeight? Find(string name)
    {
        if (_files.Find(name) is not { } stored) return null;
        TensorType type = SafetensorsTypes.AsTensorType(stored.DataType)
            ?? throw new UnsupportedModelException($"{Path.GetFileName(stored.File)}: {name}: element type {stored.DataType} is not read yet; F32, F16 and BF16 are");
        long columns = stored.Shape.IsEmpty ? 1 : stored.Shape[^1];
        long rows = stored.Shape.Take(stored.Shape.Length - 1).Aggregate(1L, (product, extent) => product * extent);
        return new StoredWeight(stored.Shape, new StoredSource(stored, type, rows, columns));
    }
}
