using System.Text;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tests.Hostile;

/// <summary>A value whose bytes are given, whatever its type number says.</summary>
internal sealed record RawValue(uint Type, params byte[] Bytes);

/// <summary>A tensor entry that may lie.</summary>
internal sealed record RawTensor(string Name, ulong[] Extents, uint Type, ulong Offset)
{
    /// <summary>The dimension count that the entry states, where it is not the number of extents.</summary>
    public uint? Dimensions { get; init; }
}

/// <summary>A GGUF file in parts, each of which a test may spoil; unspoilt it is written as it was read.</summary>
internal sealed class RawGguf
{
    public byte[] Magic { get; set; } = "GGUF"u8.ToArray();

    public uint Version { get; set; } = 3;

    public ulong? KeyCount { get; set; }

    public ulong? TensorCount { get; set; }

    public int Alignment { get; set; } = 32;

    /// <summary>Key (a string or its bytes) and value (a CLR value or a <see cref="RawValue"/>).</summary>
    public List<(object Key, object Value)> Keys { get; } = [];

    public List<RawTensor> Tensors { get; } = [];

    public byte[] Data { get; set; } = [];

    /// <summary>Taken apart by the library's own reader.</summary>
    public static RawGguf Parse(byte[] file)
    {
        using var folder = new HostileFolder(new Dictionary<string, byte[]> { ["model.gguf"] = file });
        GgufHeader header = GgufReader.Read(folder.In("model.gguf"));
        long start = header.Tensors[0].Offset;
        var raw = new RawGguf { Data = file[(int)start..] };
        raw.Keys.AddRange(header.Metadata.Select(pair => ((object)pair.Key, pair.Value is GgufTexts texts ? texts.Read() : pair.Value)));
        raw.Tensors.AddRange(header.Tensors.Select(tensor =>
            new RawTensor(tensor.Spec.Name, [.. tensor.Spec.Dimensions.Select(extent => (ulong)extent)], (uint)tensor.Spec.Type, (ulong)(tensor.Offset - start))));
        return raw;
    }

    public object this[string key]
    {
        get => Keys.First(pair => pair.Key is string name && name == key).Value;
        set
        {
            int at = Keys.FindIndex(pair => pair.Key is string name && name == key);
            if (at < 0) Keys.Add((key, value));
            else Keys[at] = (key, value);
        }
    }

    public void Remove(string key) => Assert.NotEqual(0, Keys.RemoveAll(pair => pair.Key is string name && name == key));

    /// <summary>Gives the tensor another type and moves those behind it, so that the file stays consistent.</summary>
    public void Retype(string name, TensorType type, params ulong[] extents)
    {
        int at = Find(name);
        Tensors[at] = Tensors[at] with { Type = (uint)type, Extents = extents.Length > 0 ? extents : Tensors[at].Extents };
        Relayout();
    }

    public void Edit(string name, Func<RawTensor, RawTensor> change) => Tensors[Find(name)] = change(Tensors[Find(name)]);

    /// <summary>Adds a tensor behind the last one.</summary>
    public void Add(string name, TensorType type, params ulong[] extents)
    {
        Tensors.Add(new RawTensor(name, extents, (uint)type, 0));
        Relayout();
    }

    public void RemoveTensor(string name)
    {
        Tensors.RemoveAt(Find(name));
        Relayout();
    }

    public byte[] ToBytes()
    {
        using var stream = new MemoryStream();
        using var writer = new BinaryWriter(stream);
        writer.Write(Magic);
        writer.Write(Version);
        writer.Write(TensorCount ?? (ulong)Tensors.Count);
        writer.Write(KeyCount ?? (ulong)Keys.Count);
        foreach ((object key, object value) in Keys)
        {
            WriteBytes(writer, key as byte[] ?? Encoding.UTF8.GetBytes((string)key));
            WriteTyped(writer, value);
        }
        foreach (RawTensor tensor in Tensors)
        {
            WriteBytes(writer, Encoding.UTF8.GetBytes(tensor.Name));
            writer.Write(tensor.Dimensions ?? (uint)tensor.Extents.Length);
            foreach (ulong extent in tensor.Extents) writer.Write(extent);
            writer.Write(tensor.Type);
            writer.Write(tensor.Offset);
        }
        while (stream.Length % Alignment != 0) writer.Write((byte)0);
        writer.Write(Data);
        return stream.ToArray();
    }

    /// <summary>An array value: element type, stated count, bytes.</summary>
    public static RawValue Array(uint elementType, ulong count, params byte[] bytes) => new(9, [.. BitConverter.GetBytes(elementType), .. BitConverter.GetBytes(count), .. bytes]);

    private int Find(string name) => Tensors.FindIndex(tensor => tensor.Name == name) is >= 0 and var at ? at : throw new ArgumentException($"no tensor {name}");

    private void Relayout()
    {
        ulong end = 0;
        for (int i = 0; i < Tensors.Count; i++)
        {
            Tensors[i] = Tensors[i] with { Offset = end };
            long[] extents = [.. Tensors[i].Extents.Select(extent => (long)extent)];
            end += (ulong)GgufWriter.Align(new TensorSpec(Tensors[i].Name, [.. extents], (TensorType)Tensors[i].Type).Bytes);
        }
        byte[] data = Data;
        System.Array.Resize(ref data, (int)end);
        Data = data;
    }

    private static void WriteBytes(BinaryWriter writer, byte[] bytes)
    {
        writer.Write((ulong)bytes.Length);
        writer.Write(bytes);
    }

    private static void WriteTyped(BinaryWriter writer, object value)
    {
        if (value is RawValue raw)
        {
            writer.Write(raw.Type);
            writer.Write(raw.Bytes);
            return;
        }
        Assert.True(GgufTypes.TryGet(value.GetType(), out GgufValueType type));
        writer.Write((uint)type);
        if (value is not Array array)
        {
            WriteValue(writer, value);
            return;
        }
        writer.Write((uint)GgufTypes.ElementType(array));
        writer.Write((ulong)array.Length);
        foreach (object item in array) WriteValue(writer, item);
    }

    private static void WriteValue(BinaryWriter writer, object value)
    {
        switch (value)
        {
            case string text: WriteBytes(writer, Encoding.UTF8.GetBytes(text)); break;
            case bool flag: writer.Write(flag); break;
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
            default: throw new ArgumentException($"{value.GetType()}", nameof(value));
        }
    }
}
