using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>
/// Where the weights of layers that stay on disk are read from: the checkpoint itself where its bytes are what the engine wants, and otherwise a file in the
/// offload folder, made once and used again while the checkpoint is the same and the file has the size and hash that were noted.
/// </summary>
internal static class OffloadStore
{
    /// <summary>File and offset of each tensor, by name.</summary>
    /// <exception cref="InvalidOptionException">Some tensors must be converted and no folder was named.</exception>
    public static Dictionary<string, (string File, long Offset)> Locate(IReadOnlyList<ModelTensor> tensors, string modelName, string? folder, CancellationToken cancel)
    {
        var places = new Dictionary<string, (string, long)>(StringComparer.Ordinal);
        List<ModelTensor> converted = [];
        foreach (ModelTensor tensor in tensors)
        {
            if (tensor.Source is StoredSource stored && stored.Type == tensor.Spec.Type) places[tensor.Spec.Name] = (stored.Tensor.File, stored.Tensor.Offset);
            else converted.Add(tensor);
        }
        if (converted.Count == 0) return places;
        if (folder is null)
            throw new InvalidOptionException($"{converted.Count} tensors that stay on disk need another layout or type than the checkpoint has, the first is {converted[0].Spec.Name}: name an offload folder for them, or convert the checkpoint to GGUF");
        (string path, long[] offsets) = Make(converted, modelName, folder, cancel);
        for (int i = 0; i < converted.Count; i++) places[converted[i].Spec.Name] = (path, offsets[i]);
        return places;
    }

    private static (string Path, long[] Offsets) Make(List<ModelTensor> tensors, string modelName, string folder, CancellationToken cancel)
    {
        Directory.CreateDirectory(folder);
        string path = Path.Combine(Path.GetFullPath(folder), $"{modelName}-{Fingerprint(tensors)}.gguf"), sealPath = path + ".json";
        var metadata = new GgufMetadata { ["general.architecture"] = "nbm-offload", ["general.name"] = modelName };
        (long bytes, long[] offsets) = GgufFile.Layout(metadata, tensors);
        if (IsWhole(path, sealPath, bytes, cancel)) return (path, offsets);
        GgufFile.Write(path, metadata, tensors, null, cancel);
        string partial = $"{sealPath}.{Guid.NewGuid():N}.partial";
        File.WriteAllText(partial, JsonSerializer.Serialize(new Dictionary<string, string> { ["bytes"] = $"{bytes}", ["sha256"] = Hash(path, cancel) }, OffloadJson.Default.DictionaryStringString));
        File.Move(partial, sealPath, overwrite: true);
        return (path, offsets);
    }

    private static bool IsWhole(string path, string sealPath, long bytes, CancellationToken cancel)
    {
        if (!File.Exists(path) || !File.Exists(sealPath) || new FileInfo(path).Length != bytes) return false;
        try
        {
            Dictionary<string, string>? seal = JsonSerializer.Deserialize(File.ReadAllText(sealPath), OffloadJson.Default.DictionaryStringString);
            return seal is not null && seal.GetValueOrDefault("bytes") == $"{bytes}" && seal.GetValueOrDefault("sha256") == Hash(path, cancel);
        }
        catch (JsonException) { return false; }
    }

    // The same tensors from the same files: names, sizes and times stand for the contents, which are too large to hash at every start.
    private static string Fingerprint(List<ModelTensor> tensors)
    {
        var text = new StringBuilder();
        foreach (ModelTensor tensor in tensors) text.Append(tensor.Spec.Name).Append(' ').Append(tensor.Spec.Type).Append(' ').AppendJoin('x', tensor.Spec.Dimensions).Append('\n');
        foreach (string file in tensors.SelectMany(tensor => tensor.Source.Files).Distinct(StringComparer.Ordinal))
        {
            var info = new FileInfo(file);
            text.Append(file).Append(' ').Append(info.Length).Append(' ').Append(info.LastWriteTimeUtc.Ticks).Append('\n');
        }
        return Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text.ToString())))[..16];
    }

    private static string Hash(string path, CancellationToken cancel)
    {
        using FileStream stream = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashDataAsync(stream, cancel).AsTask().GetAwaiter().GetResult());
    }
}

[System.Text.Json.Serialization.JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class OffloadJson : System.Text.Json.Serialization.JsonSerializerContext;
