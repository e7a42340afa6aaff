using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Text.Json;

namespace NativeBigModel.Checkpoints.Safetensors;

/// <summary>
/// The header of one safetensors file: 8 bytes of little-endian length, then JSON, then data.
/// Enforces the format's own rules (huggingface/safetensors, README "Format"): the header is at most 100 MB, tensors neither overlap nor
/// leave holes, every length is shape times element size, and the last byte of the last tensor is the last byte of the file.
/// </summary>
internal static class SafetensorsHeader
{
    public const long MaxHeaderBytes = 100_000_000;

    /// <summary>Reads the header and returns the tensors in data order. The data itself is not read.</summary>
    /// <exception cref="CheckpointException">The file breaks one of the rules.</exception>
    public static IReadOnlyList<StoredTensor> Read(string path)
    {
        string file = Path.GetFileName(path);
        byte[] json;
        long fileBytes;
        try
        {
            using FileStream stream = File.OpenRead(path);
            fileBytes = stream.Length;
            json = ReadHeaderBytes(stream, file, fileBytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file, "file", error.Message, error);
        }
        using JsonDocument document = JsonFile.Parse(file, json);
        return Validate(ReadEntries(document.RootElement, path, file, 8 + json.Length), file, 8 + json.Length, fileBytes);
    }

    private static byte[] ReadHeaderBytes(FileStream stream, string file, long fileBytes)
    {
        if (fileBytes < 8) throw new CheckpointException(file, "header length", $"the file has {fileBytes} bytes and the length alone takes 8");
        Span<byte> prefix = stackalloc byte[8];
        stream.ReadExactly(prefix);
        ulong length = BinaryPrimitives.ReadUInt64LittleEndian(prefix);
        if (length > MaxHeaderBytes) throw new CheckpointException(file, "header length", $"{length} bytes, and the format allows {MaxHeaderBytes}");
        if (length > (ulong)(fileBytes - 8)) throw new CheckpointException(file, "header length", $"{length} bytes, and the file has {fileBytes - 8} after the length");
        byte[] json = new byte[length];
        stream.ReadExactly(json);
        return json;
    }

    private static List<StoredTensor> ReadEntries(JsonElement root, string path, string file, long dataStart)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new CheckpointException(file, "header", $"must be a JSON object and is {root.ValueKind}");
        var tensors = new List<StoredTensor>();
        foreach (JsonProperty entry in root.EnumerateObject())
        {
            string name = JsonFile.NameOf(file, "header", entry);
            if (name == "__metadata__") continue;
            tensors.Add(ReadEntry(new ConfigReader(file, name, entry.Value), name, path, dataStart));
        }
        return tensors;
    }

    private static StoredTensor ReadEntry(ConfigReader entry, string name, string path, long dataStart)
    {
        string type = entry.String("dtype");
        if (SafetensorsTypes.Bits(type) is not { } bits) throw entry.Error("dtype", $"'{type}' is not a safetensors element type");
        ImmutableArray<long> shape = [.. entry.Integers("shape", 0, long.MaxValue)];
        long[] offsets = [.. entry.Integers("data_offsets", 0, long.MaxValue)];
        if (offsets.Length != 2) throw entry.Error("data_offsets", $"has {offsets.Length} numbers and needs 2");
        if (offsets[0] > offsets[1]) throw entry.Error("data_offsets", $"begins at {offsets[0]}, after its end {offsets[1]}");
        if (offsets[1] > long.MaxValue - dataStart) throw entry.Error("data_offsets", $"ends at {offsets[1]}, past any file");
        UInt128 expected = (UInt128)(uint)bits;
        foreach (long extent in shape)
        {
            expected *= (ulong)extent;
            if (expected > long.MaxValue) throw entry.Error("shape", $"[{string.Join(", ", shape)}] has more than {long.MaxValue} bits");
        }
        if (expected % 8 != 0) throw entry.Error("shape", $"[{string.Join(", ", shape)}] of {type} is {expected} bits, not whole bytes");
        long bytes = offsets[1] - offsets[0];
        if ((long)(expected / 8) != bytes)
            throw entry.Error("data_offsets", $"span {bytes} bytes, and [{string.Join(", ", shape)}] of {type} takes {expected / 8}");
        return new StoredTensor(name, type, shape, path, dataStart + offsets[0], bytes);
    }

    private static List<StoredTensor> Validate(List<StoredTensor> tensors, string file, long dataStart, long fileBytes)
    {
        tensors.Sort(static (a, b) => a.Offset != b.Offset ? a.Offset.CompareTo(b.Offset) : a.Bytes.CompareTo(b.Bytes));
        long end = dataStart;
        foreach (StoredTensor tensor in tensors)
        {
            if (tensor.Offset < end) throw new CheckpointException(file, tensor.Name, $"begins at byte {tensor.Offset - dataStart} and overlaps the tensor that ends at {end - dataStart}");
            if (tensor.Offset > end) throw new CheckpointException(file, tensor.Name, $"begins at byte {tensor.Offset - dataStart} and leaves a hole after {end - dataStart}");
            end = tensor.Offset + tensor.Bytes;
        }
        if (end != fileBytes) throw new CheckpointException(file, "file size", $"{fileBytes} bytes, and the header describes {end}");
        return tensors;
    }
}
