using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;

namespace NativeBigModel.Tests;

/// <summary>Writes files as torch.save does (torch/serialization.py): a pickle of an ordered dictionary of tensors, in a zip file or in the format before it.</summary>
internal sealed class TorchFiles
{
    /// <summary>A tensor as the pickle tells of it; strides of null are those of a contiguous one.</summary>
    public sealed record Tensor(string Name, long[] Shape, byte[] Data)
    {
        public long[]? Strides { get; init; }

        public long Offset { get; init; }

        public string StorageType { get; init; } = "FloatStorage";

        public string? StorageKey { get; init; }

        public int ElementBytes { get; init; } = 4;

        public bool Parameter { get; init; }
    }

    /// <summary>The zip format, by the platform's own zip writer.</summary>
    public static byte[] Zip(IReadOnlyList<Tensor> tensors, CompressionLevel level = CompressionLevel.NoCompression) => Zip(Pickle(tensors, legacy: false), tensors, level);

    public static byte[] Zip(byte[] pickle, IReadOnlyList<Tensor> tensors, CompressionLevel level = CompressionLevel.NoCompression, string byteOrder = "little")
    {
        using var stream = new MemoryStream();
        using (var zip = new ZipArchive(stream, ZipArchiveMode.Create, leaveOpen: true))
        {
            Add(zip, "archive/data.pkl", pickle, level);
            Add(zip, "archive/byteorder", Encoding.ASCII.GetBytes(byteOrder), level);
            for (int i = 0; i < tensors.Count; i++)
                if (tensors[i].StorageKey is null) Add(zip, $"archive/data/{i}", tensors[i].Data, level);
            Add(zip, "archive/version", "3\n"u8.ToArray(), level);
        }
        return stream.ToArray();
    }

    /// <summary>The format before zip.</summary>
    public static byte[] Legacy(IReadOnlyList<Tensor> tensors)
    {
        using var stream = new MemoryStream();
        stream.Write([0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, (byte)'.']);
        stream.Write([0x80, 2, (byte)'M', 0xe9, 3, (byte)'.']);
        stream.Write([0x80, 2, (byte)'}', .. Text("little_endian"), 0x88, (byte)'s', (byte)'.']);
        stream.Write(Pickle(tensors, legacy: true));
        stream.Write([0x80, 2, (byte)']', (byte)'(', .. tensors.SelectMany((_, i) => Text($"{i}")), (byte)'e', (byte)'.']);
        foreach (Tensor tensor in tensors)
        {
            stream.Write(BitConverter.GetBytes((long)tensor.Data.Length / tensor.ElementBytes));
            stream.Write(tensor.Data);
        }
        return stream.ToArray();
    }

    public static byte[] Pickle(IReadOnlyList<Tensor> tensors, bool legacy)
    {
        List<byte> pickle = [0x80, 2, .. Global("collections", "OrderedDict"), (byte)'q', 0, (byte)')', (byte)'R', (byte)'q', 1, (byte)'('];
        for (int i = 0; i < tensors.Count; i++) pickle.AddRange([.. Text(tensors[i].Name), .. Value(tensors[i], i, legacy)]);
        // The attribute that torch.nn.Module.state_dict gives its dictionary.
        return [.. pickle, (byte)'u', (byte)'}', .. Text("_metadata"), (byte)'h', 0, (byte)')', (byte)'R', (byte)'s', (byte)'b', (byte)'.'];
    }

    public static byte[] Text(string text) => [(byte)'X', .. BitConverter.GetBytes(Encoding.UTF8.GetByteCount(text)), .. Encoding.UTF8.GetBytes(text)];

    public static byte[] Global(string module, string name) => Encoding.ASCII.GetBytes($"c{module}\n{name}\n");

    private static byte[] Value(Tensor tensor, int index, bool legacy)
    {
        long[] strides = tensor.Strides ?? [.. tensor.Shape.Select((_, i) => tensor.Shape.Skip(i + 1).Aggregate(1L, (a, b) => a * b))];
        byte[] storage =
        [
            (byte)'(', .. Text("storage"), .. Global("torch", tensor.StorageType), .. Text(tensor.StorageKey ?? $"{index}"), .. Text("cpu"),
            .. Number(tensor.Data.Length / tensor.ElementBytes), .. legacy ? "Nt"u8 : "t"u8, (byte)'Q',
        ];
        byte[] value =
        [
            .. Global("torch._utils", "_rebuild_tensor_v2"), (byte)'(', .. storage, .. Number(tensor.Offset), .. Tuple(tensor.Shape), .. Tuple(strides),
            0x89, (byte)'h', 0, (byte)')', (byte)'R', (byte)'t', (byte)'R',
        ];
        return tensor.Parameter ? [.. Global("torch._utils", "_rebuild_parameter"), .. value, 0x88, (byte)'h', 0, (byte)')', (byte)'R', 0x87, (byte)'R'] : value;
    }

    private static byte[] Tuple(long[] numbers) => [(byte)'(', .. numbers.SelectMany(Number), (byte)'t'];

    private static byte[] Number(long number)
    {
        if (number is >= 0 and < 256) return [(byte)'K', (byte)number];
        byte[] bytes = new byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, number);
        return number is >= int.MinValue and <= int.MaxValue ? [(byte)'J', .. bytes[..4]] : [0x8a, 8, .. bytes];
    }

    private static void Add(ZipArchive zip, string name, byte[] data, CompressionLevel level)
    {
        using Stream entry = zip.CreateEntry(name, level).Open();
        entry.Write(data);
    }
}
