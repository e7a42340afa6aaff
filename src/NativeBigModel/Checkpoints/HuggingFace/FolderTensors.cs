using System.Text.Json;
using NativeBigModel.Checkpoints.PyTorch;
using NativeBigModel.Checkpoints.Safetensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>
/// The tensors of a Hugging Face folder: from one file, from the shards that an index names, or, where no shard is there, the names alone.
/// Safetensors files go before PyTorch's.
/// </summary>
internal sealed class FolderTensors
{
    private const string IndexSuffix = ".index.json";
    private const long MaxIndexBytes = 256 << 20;

    private static readonly (string Name, string Pattern, Func<string, IReadOnlyList<StoredTensor>> Read)[] s_kinds =
        [("model.safetensors", "*.safetensors", SafetensorsHeader.Read), ("pytorch_model.bin", "pytorch_model*.bin", TorchFile.Read)];

    private readonly Dictionary<string, StoredTensor> _stored = new(StringComparer.Ordinal);

    private FolderTensors(string indexName, IEnumerable<StoredTensor> stored, IReadOnlyCollection<string>? named)
    {
        IndexName = indexName;
        Named = named;
        foreach (StoredTensor tensor in stored)
        {
            if (!_stored.TryAdd(tensor.Name, tensor))
                throw new CheckpointException(Path.GetFileName(tensor.File), tensor.Name, $"is also in {Path.GetFileName(_stored[tensor.Name].File)}");
        }
    }

    /// <summary>The file that says which tensors there are, for error messages.</summary>
    public string IndexName { get; }

    /// <summary>Whether any tensor's data is there.</summary>
    public bool HasData => _stored.Count > 0;

    public IReadOnlyList<StoredTensor> Stored => [.. _stored.Values];

    public StoredTensor? Find(string name) => _stored.GetValueOrDefault(name);

    /// <summary>The tensors that the index names, or null where there is no index.</summary>
    public IReadOnlyCollection<string>? Named { get; }

    /// <exception cref="CheckpointException">The index or a file is malformed, a shard is missing, or an indexed tensor is in no shard.</exception>
    public static FolderTensors Read(string folder)
    {
        foreach ((string name, string pattern, Func<string, IReadOnlyList<StoredTensor>> read) in s_kinds)
        {
            string path = Path.Combine(folder, name);
            if (File.Exists(path + IndexSuffix)) return ReadSharded(folder, name + IndexSuffix, read);
            if (File.Exists(path)) return new(name, read(path), null);
            string[] files = Directory.GetFiles(folder, pattern);
            if (files.Length == 1) return new(Path.GetFileName(files[0]), read(files[0]), null);
            if (files.Length > 1) throw new CheckpointException(name + IndexSuffix, "file", $"is missing, and the folder holds {files.Length} files {pattern}");
        }
        return new("config.json", [], null);
    }

    private static FolderTensors ReadSharded(string folder, string indexName, Func<string, IReadOnlyList<StoredTensor>> read)
    {
        Dictionary<string, string> tensorToShard = ReadIndex(Path.Combine(folder, indexName));
        List<string> shards = [.. tensorToShard.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        List<string> missing = [.. shards.Where(shard => !File.Exists(Path.Combine(folder, shard)))];
        if (missing.Count == shards.Count) return new(indexName, [], tensorToShard.Keys);
        if (missing.Count > 0) throw new CheckpointException(indexName, "weight_map", $"{missing.Count} of {shards.Count} shards are missing, the first is {missing[0]}");
        List<StoredTensor> stored = [.. shards.SelectMany(shard => read(Path.Combine(folder, shard)))];
        var tensors = new FolderTensors(indexName, stored, tensorToShard.Keys);
        foreach ((string name, string shard) in tensorToShard)
        {
            if (tensors.Find(name) is not { } tensor) throw new CheckpointException(indexName, name, $"is mapped to {shard}, which does not hold it");
            if (Path.GetFileName(tensor.File) != shard) throw new CheckpointException(indexName, name, $"is mapped to {shard}, and {Path.GetFileName(tensor.File)} holds it");
        }
        return tensors;
    }

    private static Dictionary<string, string> ReadIndex(string path)
    {
        using JsonDocument document = JsonFile.Open(path, MaxIndexBytes);
        var root = new ConfigReader(Path.GetFileName(path), "", document.RootElement);
        ConfigReader map = root.OptionalObject("weight_map") ?? throw root.Error("weight_map", "is missing");
        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string name, string shard) in map.StringEntries())
        {
            // A shard is a file of this folder: no path leads out of it.
            if (shard.Length == 0 || shard != Path.GetFileName(shard) || shard is "." or ".." || shard.AsSpan().ContainsAny('\\', ':', '\0'))
                throw map.Error(name, $"names the file '{shard}', which is not a plain file name");
            shards.Add(name, shard);
        }
        if (shards.Count == 0) throw root.Error("weight_map", "is empty");
        return shards;
    }
}
