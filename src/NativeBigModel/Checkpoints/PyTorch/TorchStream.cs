using System.Buffers.Binary;
using System.Numerics;
using NativeBigModel.Checkpoints.Safetensors;

namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>
/// torch.save's format before zip: pickles of a magic number, a version, facts about the machine, the tensors, and the keys of their storages; then for each key
/// the number of elements in 8 bytes, and the elements.
/// </summary>
internal static class TorchStream
{
    private const long Version = 1001;
    private static readonly BigInteger s_magic = BigInteger.Parse("119547037146038801333356");

    /// <summary>The pickled value, and where the bytes of a storage begin in the file.</summary>
    public static (object? Root, Func<TorchStorage, long> Locate) Read(FileStream stream, string file)
    {
        if (new PickleMachine(stream, file).Run() is not BigInteger magic || magic != s_magic) throw new CheckpointException(file, "magic number", "is not that of a PyTorch file");
        if (new PickleMachine(stream, file).Run() is not Version) throw new CheckpointException(file, "protocol version", $"is not {Version}");
        if (new PickleMachine(stream, file).Run() is not PickleDictionary machine || !machine.Entries.Contains(("little_endian", true)))
            throw new CheckpointException(file, "little_endian", "is not true, and only little-endian files are read");
        object? root = new PickleMachine(stream, file).Run();
        if (new PickleMachine(stream, file).Run() is not PickleList keys) throw new CheckpointException(file, "storage keys", "are not a list");
        Dictionary<string, (long Offset, TorchStorage Storage)> places = Walk(stream, file, keys, Storages(root));
        return (root, storage => places.TryGetValue(storage.Key, out (long Offset, TorchStorage Storage) place) && place.Storage == storage
            ? place.Offset
            : throw new CheckpointException(file, $"storage {storage.Key}", "is not in the file, or there as another type or length"));
    }

    private static Dictionary<string, TorchStorage> Storages(object? root)
    {
        var storages = new Dictionary<string, TorchStorage>(StringComparer.Ordinal);
        if (root is PickleDictionary dictionary)
            foreach (TorchTensor tensor in dictionary.Entries.Select(entry => entry.Value).OfType<TorchTensor>()) storages.TryAdd(tensor.Storage.Key, tensor.Storage);
        return storages;
    }

    private static Dictionary<string, (long, TorchStorage)> Walk(FileStream stream, string file, PickleList keys, Dictionary<string, TorchStorage> storages)
    {
        var places = new Dictionary<string, (long, TorchStorage)>(StringComparer.Ordinal);
        long offset = stream.Position;
        Span<byte> length = stackalloc byte[8];
        foreach (object? item in keys.Items)
        {
            if (item is not string key || !storages.TryGetValue(key, out TorchStorage? storage)) throw new CheckpointException(file, "storage keys", $"entry {places.Count} is not the key of a tensor's storage");
            if (stream.Length - offset < 8) throw new CheckpointException(file, $"storage {key}", $"begins at byte {offset}, and the file has {stream.Length}");
            stream.Position = offset;
            stream.ReadExactly(length);
            long elements = BinaryPrimitives.ReadInt64LittleEndian(length);
            if (elements != storage.Elements) throw new CheckpointException(file, $"storage {key}", $"has {elements} elements, and the pickle says {storage.Elements}");
            UInt128 bytes = (UInt128)(ulong)elements * (uint)(SafetensorsTypes.Bits(storage.Type)!.Value / 8);
            if (bytes > (ulong)(stream.Length - offset - 8)) throw new CheckpointException(file, $"storage {key}", $"takes {bytes} bytes, and {stream.Length - offset - 8} are left in the file");
            if (!places.TryAdd(key, (offset + 8, storage))) throw new CheckpointException(file, $"storage {key}", "is listed twice");
            offset += 8 + (long)bytes;
        }
        return places;
    }
}
