using System.Runtime.InteropServices;
using System.Text;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>Writes the header of a GGUF file, version 3: what a file begins with, and what the engine takes from memory.</summary>
internal static class GgufWriter
{
    /// <summary>The header's bytes, padded so that data may follow at once, and the offset of each tensor from the file's start.</summary>
    public static (byte[] Header, long[] Offsets) Write(GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors)
    {
        using var stream = new MemoryStream();
        long[] offsets = Write(stream, metadata, tensors);
        return (stream.ToArray(), offsets);
    }

    /// <summary>Writes the header to a stream that stands at its start. Returns the offset of each tensor.</summary>
    public static long[] Write(Stream stream, GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors)
    {
        using var writer = new BinaryWriter(stream, Encoding.UTF8, leaveOpen: true);
        writer.Write(GgufTypes.Magic);
        writer.Write(GgufTypes.WriterVersion);
        writer.Write((ulong)tensors.Count);
        writer.Write((ulong)metadata.Count);
        foreach ((string key, object value) in metadata)
        {
            WriteString(writer, key);
            WriteTyped(writer, value);
        }
        var offsets = new long[tensors.Count];
        long end = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            offsets[i] = end;
            WriteTensor(writer, tensors[i], end);
            end = Align(checked(end + tensors[i].Bytes));
        }
        long start = Align(stream.Length);
        writer.Write(new byte[start - stream.Length]);
        for (int i = 0; i < offsets.Length; i++) offsets[i] += start;
        return offsets;
    }

    /// <summary>As many bytes as the header may have at most.</summary>
    public static long MostBytes(GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors)
    {
        const int fields = 64; // lengths, types, extents, and the padding
        static long Text(string text) => sizeof(ulong) + Encoding.UTF8.GetMaxByteCount(text.Length);
        return fields + tensors.Sum(tensor => fields + Text(tensor.Name)) + metadata.Sum(pair => fields + Text(pair.Key) + pair.Value switch
        {
            string text => Text(text),
            string[] texts => texts.Sum(Text),
            GgufTexts texts => texts.Parts.Sum(part => (long)part.Length),
            Array array => Buffer.ByteLength(array),
            _ => 0,
        });
    }

    /// <summary>Where the next tensor may begin.</summary>
    public static long Align(long offset) => (offset + GgufTypes.DefaultAlignment - 1) / GgufTypes.DefaultAlignment * GgufTypes.DefaultAlignment;

    private static void WriteTensor(BinaryWriter writer, TensorSpec tensor, long offset)
    {
        if (Encoding.UTF8.GetByteCount(tensor.Name) > GgufTypes.MaxNameBytes) throw new UnsupportedModelException($"tensor {tensor.Name}: the name is longer than the {GgufTypes.MaxNameBytes} bytes that ggml holds");
        WriteString(writer, tensor.Name);
        writer.Write((uint)tensor.Dimensions.Length);
        foreach (long extent in tensor.Dimensions) writer.Write((ulong)extent);
        writer.Write((uint)tensor.Type);
        writer.Write((ulong)offset);
    }

    private static void WriteTyped(BinaryWriter writer, object value)
    {
        GgufTypes.TryGet(GgufTypes.Clr(value), out GgufValueType type);
        writer.Write((uint)type);
        if (value is GgufTexts texts)
        {
            writer.Write((uint)GgufValueType.String);
            writer.Write((ulong)texts.Count);
            foreach (ReadOnlyMemory<byte> part in texts.Parts) writer.Write(part.Span);
        }
        else if (value is Array array)
        {
            writer.Write((uint)GgufTypes.ElementType(array));
            writer.Write((ulong)array.Length);
            WriteItems(writer, array);
        }
        else WriteValue(writer, value);
    }

    private static void WriteItems(BinaryWriter writer, Array array)
    {
        if (array is string[] texts)
        {
            foreach (string text in texts) WriteString(writer, text);
        }
        else writer.Write(MemoryMarshal.CreateReadOnlySpan(ref MemoryMarshal.GetArrayDataReference(array), Buffer.ByteLength(array)));
    }

    private static void WriteValue(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case byte v: writer.Write(v); break;
            case sbyte v: writer.Write(v); break;
            case ushort v: writer.Write(v); break;
            case short v: writer.Write(v); break;
            case uint v: writer.Write(v); break;
            case int v: writer.Write(v); break;
            case ulong v: writer.Write(v); break;
            case long v: writer.Write(v); break;
            case float v: writer.Write(v); break;
            case double v: writer.Write(v); break;
            case bool v: writer.Write(v); break;
            case string v: WriteString(writer, v); break;
            default: throw new ArgumentException($"{value.GetType()} is not a GGUF value type", nameof(value));
        }
    }

    private static void WriteString(BinaryWriter writer, string text)
    {
        const int most = 512;
        Span<byte> utf8 = text.Length <= most / 3 ? stackalloc byte[most] : new byte[Encoding.UTF8.GetMaxByteCount(text.Length)];
        int count = Encoding.UTF8.GetBytes(text, utf8);
        writer.Write((ulong)count);
        writer.Write(utf8[..count]);
    }
}
