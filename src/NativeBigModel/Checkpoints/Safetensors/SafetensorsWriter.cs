using System.Buffers.Binary;
using System.Text.Json;
using NativeBigModel.Conversion;

namespace NativeBigModel.Checkpoints.Safetensors;

/// <summary>Lays tensors out as the safetensors format has them: a length, a JSON header, and the data without gaps (huggingface/safetensors, README).</summary>
internal static class SafetensorsWriter
{
    private const int Alignment = 8;

    /// <summary>One file with these tensors, in this order.</summary>
    public static FilePart Lay(string path, int first, IReadOnlyList<TensorSpec> tensors)
    {
        using var header = new MemoryStream();
        header.Write(new byte[sizeof(long)]);
        long end = 0;
        using (var json = new Utf8JsonWriter(header))
        {
            json.WriteStartObject();
            json.WriteStartObject("__metadata__");
            json.WriteString("format", "pt");
            json.WriteEndObject();
            foreach (TensorSpec tensor in tensors)
            {
                json.WriteStartObject(tensor.Name);
                json.WriteString("dtype", tensor.Type.ToString());
                json.WriteStartArray("shape");
                foreach (long extent in tensor.Dimensions.Reverse()) json.WriteNumberValue(extent);
                json.WriteEndArray();
                json.WriteStartArray("data_offsets");
                json.WriteNumberValue(end);
                json.WriteNumberValue(end + tensor.Bytes);
                json.WriteEndArray();
                json.WriteEndObject();
                end += tensor.Bytes;
            }
            json.WriteEndObject();
        }
        while (header.Length % Alignment != 0) header.WriteByte((byte)' ');
        byte[] bytes = header.ToArray();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, bytes.Length - sizeof(long));
        var offsets = new long[tensors.Count];
        long at = bytes.Length;
        for (int i = 0; i < offsets.Length; i++)
        {
            offsets[i] = at;
            at += tensors[i].Bytes;
        }
        return new(path, bytes, first, offsets, at);
    }
}
