using System.Text.Json;
using NativeBigModel.Tests.Hostile;

namespace NativeBigModel.Tests;

/// <summary>The tiny checkpoint with PyTorch files in place of its safetensors files.</summary>
internal static class TorchSamples
{
    public static List<TorchFiles.Tensor> Tensors()
    {
        List<TorchFiles.Tensor> tensors = [];
        foreach (string shard in (string[])[TinyCheckpoint.First, TinyCheckpoint.Second])
        {
            byte[] file = TinyCheckpoint.Files()[shard];
            int header = (int)BitConverter.ToInt64(file);
            using JsonDocument json = JsonDocument.Parse(file.AsMemory(8, header));
            foreach (JsonProperty entry in json.RootElement.EnumerateObject().Where(entry => entry.Name != "__metadata__"))
            {
                int[] span = [.. entry.Value.GetProperty("data_offsets").EnumerateArray().Select(number => number.GetInt32())];
                tensors.Add(new(entry.Name, [.. entry.Value.GetProperty("shape").EnumerateArray().Select(number => number.GetInt64())], file[(8 + header + span[0])..(8 + header + span[1])]));
            }
        }
        return tensors;
    }

    /// <summary>The folder with these files for its weights.</summary>
    public static Dictionary<string, byte[]> Files(Dictionary<string, byte[]> weights)
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        foreach (string name in (string[])[TinyCheckpoint.Index, TinyCheckpoint.First, TinyCheckpoint.Second]) files.Remove(name);
        foreach ((string name, byte[] bytes) in weights) files[name] = bytes;
        return files;
    }
}
