using System.Globalization;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Conversion;

/// <summary>How a model is laid out in one or several files. The keys of a split model are those of llama.cpp's gguf-split.</summary>
internal static class GgufParts
{
    /// <exception cref="InvalidOptionException">Not even a header fits into a file.</exception>
    public static IReadOnlyList<FilePart> Lay(string path, GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors, long? maxBytes)
    {
        FilePart whole = Part(path, metadata, tensors, 0, tensors.Count);
        if (maxBytes is not { } most || whole.Bytes <= most) return [whole];
        // What the longest headers leave for data: the first file has all keys.
        long first = most - Part(path, WithSplit(metadata, 0, 1, tensors.Count), tensors, 0, tensors.Count).Header.Length;
        long later = most - Part(path, WithSplit([], 0, 1, tensors.Count), tensors, 0, tensors.Count).Header.Length;
        if (first <= 0) throw new InvalidOptionException($"files of {most} bytes: the header alone has {most - first}");
        List<int> starts = [0];
        long room = first;
        for (int i = 0; i < tensors.Count; i++)
        {
            long bytes = GgufWriter.Align(tensors[i].Bytes);
            if (bytes > room && i > starts[^1])
            {
                starts.Add(i);
                room = later;
            }
            room -= bytes;
        }
        if (starts.Count == 1) return [whole];
        if (starts.Count > ushort.MaxValue) throw new InvalidOptionException($"files of {most} bytes: the model would be {starts.Count} of them, and {ushort.MaxValue} are the most");
        return [.. starts.Select((start, number) => Part(Name(path, number, starts.Count), WithSplit(number == 0 ? metadata : [], number, starts.Count, tensors.Count), tensors,
            start, (number + 1 < starts.Count ? starts[number + 1] : tensors.Count) - start))];
    }

    private static FilePart Part(string path, GgufMetadata metadata, IReadOnlyList<TensorSpec> tensors, int first, int count)
    {
        List<TensorSpec> own = [.. tensors.Skip(first).Take(count)];
        (byte[] header, long[] offsets) = GgufWriter.Write(metadata, own);
        return new(path, header, first, offsets, count == 0 ? header.Length : GgufWriter.Align(offsets[^1] + own[^1].Bytes));
    }

    private static GgufMetadata WithSplit(GgufMetadata metadata, int number, int count, int tensors)
    {
        var split = new GgufMetadata();
        foreach ((string key, object value) in metadata) split[key] = value;
        split["split.no"] = (ushort)number;
        split["split.count"] = (ushort)count;
        split["split.tensors.count"] = tensors;
        return split;
    }

    private static string Name(string path, int number, int count)
    {
        string stem = path.EndsWith(".gguf", StringComparison.OrdinalIgnoreCase) ? path[..^".gguf".Length] : path;
        return string.Create(CultureInfo.InvariantCulture, $"{stem}-{number + 1:d5}-of-{count:d5}.gguf");
    }
}
