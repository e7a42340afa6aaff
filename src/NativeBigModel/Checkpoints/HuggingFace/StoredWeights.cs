using System.Collections.Immutable;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Quantization;
using NativeBigModel.Tensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>A weight by the name that transformers gives it, however it is stored.</summary>
/// <param name="Shape">Extents, outermost first, as PyTorch prints them.</param>
/// <param name="Source">Its rows; a row is the innermost extent.</param>
internal sealed record StoredWeight(ImmutableArray<long> Shape, TensorSource Source)
{
    /// <summary>Whether the last two extents stand the other way round than in transformers' parameter: the rows of each matrix are already what ggml wants.</summary>
    public bool Transposed { get; init; }
}

/// <summary>The weights of a Hugging Face folder. Architectures ask for them by name, and never see how they are stored.</summary>
internal sealed class StoredWeights
{
    private readonly FolderTensors _files;
    private readonly QuantizedFormat? _format;
    private readonly WeightParts _parts;
    private readonly IReadOnlyList<LoraAdapter> _adapters;

    // Of quantised weights whose files may be missing: the names, and whether any part tells that they are quantised.
    private readonly Dictionary<string, bool>? _named;

    private StoredWeights(FolderTensors files, QuantizedFormat? format, IReadOnlyList<LoraAdapter> adapters)
    {
        (_files, _format, _parts, _adapters) = (files, format, new(files), adapters);
        if (format is null || files.Named is not { } names) return;
        _named = new(names.Count, StringComparer.Ordinal);
        foreach (string name in names)
        {
            string weight = WeightOf(name);
            _named[weight] = _named.GetValueOrDefault(weight) || weight != name;
        }
    }

    /// <summary>Whether any weight's data is there.</summary>
    public bool HasData => _files.HasData;

    /// <summary>The file that says which weights there are, for error messages.</summary>
    public string IndexName => _files.IndexName;

    /// <summary>How the weights are quantised, or null where they are not.</summary>
    public string? Quantization => _format?.Name;

    /// <summary>Every weight whose data is there and says something.</summary>
    public IEnumerable<string> All => _files.Stored.Where(tensor => !(_format?.SaysNothing(_parts, tensor) ?? false)).Select(tensor => WeightOf(tensor.Name)).Distinct(StringComparer.Ordinal);

    /// <exception cref="UnsupportedModelException">The weights are quantised in a way that is not read yet.</exception>
    public static StoredWeights Of(FolderTensors files, ConfigReader config, IReadOnlyList<LoraAdapter>? adapters = null) => new(files, QuantizedFormat.Of(config), adapters ?? []);

    /// <summary>Whether the checkpoint would have the weight if its files were there; without an index, any name may be.</summary>
    public bool Names(string name) => _named?.ContainsKey(name) ?? _files.Named?.Contains(name) ?? true;

    /// <summary>The type that a quantised weight would be kept in if its files were there, or null for a plain one.</summary>
    public TensorType? AbsentType(string name, long columns) =>
        _format is { } format && (_named?.GetValueOrDefault(name) ?? false) && columns % format.Kept.BlockSize() == 0 ? format.Kept : null;

    /// <summary>The weight, or null where no file holds it.</summary>
    /// <exception cref="CheckpointException">Its parts contradict each other.</exception>
    /// <exception cref="UnsupportedModelException">It is stored in a way that is not read yet.</exception>
    public StoredWeight? Find(string name)
    {
        StoredWeight? found = _format?.Find(_parts, name) ?? (_files.Find(name) is { } tensor ? Plain(tensor) : null);
        return found is null ? null : _adapters.Aggregate(found, (weight, adapter) => adapter.Apply(name, weight));
    }

    /// <exception cref="UnsupportedModelException">An adapter would change a weight that nothing asked for.</exception>
    public void RequireAdaptersRead()
    {
        foreach (LoraAdapter adapter in _adapters) adapter.RequireAllRead();
    }

    /// <summary>The file that holds a weight, or its first part.</summary>
    public string FileOf(string name) => _files.Stored.FirstOrDefault(tensor => WeightOf(tensor.Name) == name) is { } tensor ? Path.GetFileName(tensor.File) : IndexName;

    private string WeightOf(string tensor) => _format?.WeightOf(tensor) ?? tensor;

    /// <summary>A weight that is one stored tensor.</summary>
    public static StoredWeight Plain(StoredTensor tensor)
    {
        TensorType type = SafetensorsTypes.AsTensorType(tensor.DataType)
            ?? throw new UnsupportedModelException($"{Path.GetFileName(tensor.File)}: {tensor.Name}: element type {tensor.DataType} is not read yet; F32, F16 and BF16 are");
        long columns = tensor.Shape.IsEmpty ? 1 : tensor.Shape[^1], rows = tensor.Shape.SkipLast(1).Aggregate(1L, (product, extent) => product * extent);
        return new(tensor.Shape, tensor.ColumnMajor ? new ColumnMajorSource(tensor, type, rows, columns) : new StoredSource(tensor, type, rows, columns));
    }
}
