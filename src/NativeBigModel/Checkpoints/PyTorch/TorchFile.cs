using NativeBigModel.Checkpoints.Safetensors;

namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>The tensors of one file that torch.save wrote, in its zip format or in the one before (torch/serialization.py). Nothing but its table of contents is read.</summary>
internal static class TorchFile
{
    /// <summary>Reads the table and returns the tensors in its order.</summary>
    /// <exception cref="CheckpointException">The file is malformed, or holds anything but tensors.</exception>
    /// <exception cref="UnsupportedModelException">A tensor's elements lie neither row by row nor column by column.</exception>
    public static IReadOnlyList<StoredTensor> Read(string path)
    {
        string file = Path.GetFileName(path);
        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16);
            Span<byte> magic = stackalloc byte[4];
            stream.ReadAtLeast(magic, 4, throwOnEndOfStream: false);
            stream.Position = 0;
            (object? root, Func<TorchStorage, long> locate) = magic.SequenceEqual("PK\u0003\u0004"u8) ? TorchArchive.Read(stream, file) : TorchStream.Read(stream, file);
            return Tensors(root, path, file, locate);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(file, "file", error.Message, error);
        }
    }

    private static List<StoredTensor> Tensors(object? root, string path, string file, Func<TorchStorage, long> locate)
    {
        if (root is not PickleDictionary dictionary) throw new CheckpointException(file, "pickle", "does not hold a dictionary of tensors");
        var tensors = new List<StoredTensor>(dictionary.Entries.Count);
        foreach ((object? key, object? value) in dictionary.Entries)
        {
            if (key is not string name) throw new CheckpointException(file, "pickle", $"entry {tensors.Count} has a key that is not a string");
            if (value is not TorchTensor tensor) throw new CheckpointException(file, name, "is not a tensor");
            tensors.Add(Place(tensor, name, path, file, locate));
        }
        return tensors;
    }

    private static StoredTensor Place(TorchTensor tensor, string name, string path, string file, Func<TorchStorage, long> locate)
    {
        (TorchStorage storage, long[] shape) = (tensor.Storage, tensor.Shape);
        UInt128 elements = 1, reach = (UInt128)Math.Max(0, tensor.Offset);
        for (int i = 0; i < shape.Length; i++)
        {
            elements *= (ulong)shape[i];
            if (shape[i] > 0) reach += (UInt128)(ulong)(shape[i] - 1) * (ulong)tensor.Strides[i];
            if (elements > long.MaxValue || reach > long.MaxValue) throw new CheckpointException(file, name, $"has shape [{string.Join(", ", shape)}], more than {long.MaxValue} elements");
        }
        if (tensor.Offset < 0 || (elements > 0 && reach >= (ulong)storage.Elements))
            throw new CheckpointException(file, name, $"takes elements {tensor.Offset} to {reach}, and its storage has {storage.Elements}");
        bool columns = shape.Length == 2 && IsContiguous([shape[1], shape[0]], [tensor.Strides[1], tensor.Strides[0]]), rows = IsContiguous(shape, tensor.Strides);
        if (!rows && !columns)
            throw new UnsupportedModelException($"{file}: {name}: shape [{string.Join(", ", shape)}] with strides [{string.Join(", ", tensor.Strides)}] is neither contiguous nor the transpose of a contiguous matrix, and only those are read");
        int size = SafetensorsTypes.Bits(storage.Type)!.Value / 8;
        long bytes = checked((long)elements * size);
        return new StoredTensor(name, storage.Type, [.. shape], path, elements == 0 ? 0 : locate(storage) + tensor.Offset * size, bytes) { ColumnMajor = !rows };
    }

    private static bool IsContiguous(long[] shape, long[] strides)
    {
        long expected = 1;
        for (int i = shape.Length - 1; i >= 0; i--)
        {
            if (shape[i] == 0) return true;
            if (shape[i] != 1 && strides[i] != expected) return false;
            expected *= shape[i];
        }
        return true;
    }
}
