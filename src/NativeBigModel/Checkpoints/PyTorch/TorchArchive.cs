using NativeBigModel.Checkpoints.Safetensors;

namespace NativeBigModel.Checkpoints.PyTorch;

/// <summary>torch.save's zip format: NAME/data.pkl is the pickle, NAME/data/KEY the bytes of each storage, stored as they are.</summary>
internal static class TorchArchive
{
    private const string Pickle = "/data.pkl";

    /// <summary>The pickled value, and where the bytes of a storage begin in the file.</summary>
    public static (object? Root, Func<TorchStorage, long> Locate) Read(FileStream stream, string file)
    {
        ZipDirectory zip = ZipDirectory.Read(stream, file);
        List<string> pickles = [.. zip.Names.Where(name => name.EndsWith(Pickle, StringComparison.Ordinal) && name.IndexOf('/') == name.Length - Pickle.Length)];
        if (pickles.Count != 1) throw new CheckpointException(file, "data.pkl", $"is there {pickles.Count} times, and must be once");
        string prefix = pickles[0][..^Pickle.Length];
        if (zip.Contains($"{prefix}/byteorder") && ReadText(stream, zip, $"{prefix}/byteorder", file) is var order and not "little")
            throw new CheckpointException(file, "byteorder", $"is '{order}', and only little is read");

        (stream.Position, long length) = zip.Locate(pickles[0]);
        object? root = new PickleMachine(stream, file, length).Run();
        var offsets = new Dictionary<string, long>(StringComparer.Ordinal);
        // Called while the file is open; tensors may share a storage.
        return (root, storage =>
        {
            if (offsets.TryGetValue(storage.Key, out long known)) return known;
            (long offset, long bytes) = zip.Locate($"{prefix}/data/{storage.Key}");
            UInt128 expected = (UInt128)(ulong)storage.Elements * (uint)(SafetensorsTypes.Bits(storage.Type)!.Value / 8);
            if (expected != (ulong)bytes) throw new CheckpointException(file, $"data/{storage.Key}", $"has {bytes} bytes, and {storage.Elements} elements of {storage.Type} take {expected}");
            return offsets[storage.Key] = offset;
        });
    }

    private static string ReadText(FileStream stream, ZipDirectory zip, string name, string file)
    {
        (long offset, long bytes) = zip.Locate(name);
        if (bytes > 16) throw new CheckpointException(file, name, $"has {bytes} bytes, and at most 16 are read");
        Span<byte> text = stackalloc byte[(int)bytes];
        stream.Position = offset;
        stream.ReadExactly(text);
        return System.Text.Encoding.UTF8.GetString(text);
    }
}
