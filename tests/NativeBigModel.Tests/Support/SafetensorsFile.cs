using System.Text;
using System.Text.Json.Nodes;

namespace NativeBigModel.Tests;

/// <summary>Writes safetensors files as the format's README has them.</summary>
internal static class SafetensorsFile
{
    public static void Write(string path, IReadOnlyList<(string Name, string Type, long[] Shape, byte[] Data)> tensors)
    {
        JsonObject header = [];
        long end = 0;
        foreach ((string name, string type, long[] shape, byte[] data) in tensors)
        {
            header[name] = new JsonObject { ["dtype"] = type, ["shape"] = new JsonArray([.. shape.Select(extent => (JsonNode)extent)]), ["data_offsets"] = new JsonArray(end, end + data.Length) };
            end += data.Length;
        }
        byte[] json = Encoding.UTF8.GetBytes(header.ToJsonString());
        using FileStream stream = File.Create(path);
        stream.Write(BitConverter.GetBytes((long)json.Length));
        stream.Write(json);
        foreach ((_, _, _, byte[] data) in tensors) stream.Write(data);
    }
}
