using System.Text.Json;
using NativeBigModel.Checkpoints.Safetensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>
/// The tensors of a Hugging Face folder: from one safetensors file, from the shards that an index names, or, where no shard is there,
/// the names alone.
/// </summary>
internal sealed class FolderTensors
{
    private const string SingleName = "model.safetensors";
    private const string ShardIndexName = "model.safetensors.index.json";
    private const long MaxIndexBytes = 256 << 20;

    private readonly Dictionary<string, StoredTensor> _stored = new(StringComparer.Ordinal);
    private readonly HashSet<string>? _named;

    private FolderTensors(string indexName, IEnumerable<StoredTensor> stored, IEnumerable<string>? named)
    {
        IndexName = indexName;
        _named = named?.ToHashSet(StringComparer.Ordinal);
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

    /// <summary>Whether the checkpoint would have the tensor if its shards were there; without an index, any name may be.</summary>
    public bool Names(string name) => _named?.Contains(name) ?? true;

    /// <exception cref="CheckpointException">The index or a shard is malformed, a shard is missing, or an indexed tensor is in no shard.</exception>
    public static FolderTensors Read(string folder)
    {
        string index = Path.Combine(folder, ShardIndexName), single = Path.Combine(folder, SingleName);
        if (File.Exists(index)) return ReadSharded(folder, ReadIndex(index));
        if (File.Exists(single)) return new(SingleName, SafetensorsHeader.Read(single), null);
        string[] files = Directory.GetFiles(folder, "*.safetensors");
        if (files.Length == 1) return new(Path.GetFileName(files[0]), SafetensorsHeader.Read(files[0]), null);
        if (files.Length > 1) throw new CheckpointException(ShardIndexName, "file", $"is missing, and the folder holds {files.Length} safetensors files");
        if (Directory.EnumerateFiles(folder, "pytorch_model*.bin").FirstOrDefault() is { } pickle)
            throw new UnsupportedModelException($"{Path.GetFileName(pickle)}: PyTorch .bin checkpoints are not read yet; safetensors and GGUF are");
        return new("config.json", [], null);
    }

    private static FolderTensors ReadSharded(string folder, Dictionary<string, string> tensorToShard)
    {
        List<string> shards = [.. tensorToShard.Values.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];
        List<string> missing = [.. shards.Where(shard => !File.Exists(Path.Combine(folder, shard)))];
        if (missing.Count == shards.Count) return new(ShardIndexName, [], tensorToShard.Keys);
        if (missing.Count > 0) throw new CheckpointException(ShardIndexName, "weight_map", $"{missing.Count} of {shards.Count} shards are missing, the first is {missing[0]}");
        List<StoredTensor> stored = [.. shards.SelectMany(shard => SafetensorsHeader.Read(Path.Combine(folder, shard)))];
        var tensors = new FolderTensors(ShardIndexName, stored, tensorToShard.Keys);
        foreach ((string name, string shard) in tensorToShard)
        {
            if (tensors.Find(name) is not { } tensor) throw new CheckpointException(ShardIndexName, name, $"is mapped to {shard}, which does not hold it");
            if (Path.GetFileName(tensor.File) != shard) throw new CheckpointException(ShardIndexName, name, $"is mapped to {shard}, and {Path.GetFileName(tensor.File)} holds it");
        }
        return tensors;
    }

    private static Dictionary<string, string> ReadIndex(string path)
    {
        using JsonDocument document = JsonFile.Open(path, MaxIndexBytes);
        var root = new ConfigReader(ShardIndexName, "", document.RootElement);
        ConfigReader map = root.OptionalObject("weight_map") ?? throw root.Error("weight_map", "is missing");
        var shards = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach ((string name, JsonElement _) in map.Entries())
        {
            string shard = map.String(name);
            // A shard is a file of this folder: no path leads out of it.
            if (shard.Length == 0 || shard != Path.GetFileName(shard) || shard is "." or ".." || shard.AsSpan().ContainsAny('\\', ':', '\0'))
                throw map.Error(name, $"names the file '{shard}', which is not a plain file name");
            shards.Add(name, shard);
        }
        if (shards.Count == 0) throw root.Error("weight_map", "is empty");
        return shards;
    }
}
