using System.Runtime.InteropServices;
using System.Text;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel;

/// <summary>
/// How much each column of a model's weights matters, from llama.cpp's <c>llama-imatrix</c>: the mean square of what it is multiplied by. Small types are quantised for it.
/// Both formats are read: GGUF, and the binary one before it (common/imatrix-loader.cpp).
/// </summary>
public sealed class ImportanceMatrix
{
    private const string Sums = ".in_sum2", Counts = ".counts";
    private const int MaxNameBytes = 1024;

    // In place of zero, where a block of weights that never mattered would have no best approximation.
    private const float Least = 1e-12f;

    private readonly Dictionary<string, float[]> _values;

    private ImportanceMatrix(string file, Dictionary<string, float[]> values)
    {
        File = file;
        if (values.Count == 0) throw new CheckpointException(file, "entries", "there are none");
        foreach ((string name, float[] row) in values)
        {
            for (int i = 0; i < row.Length; i++)
            {
                if (!(row[i] >= 0 && float.IsFinite(row[i]))) throw new CheckpointException(file, name, $"value {i} is {row[i]}, and importance is a finite number from 0 on");
                row[i] = Math.Max(row[i], Least);
            }
        }
        _values = values;
    }

    /// <summary>The file's name.</summary>
    public string File { get; }

    /// <summary>The GGUF names of the weights that it tells about.</summary>
    public IReadOnlyCollection<string> Names => _values.Keys;

    /// <summary>Reads a file in either format.</summary>
    /// <exception cref="CheckpointException">It is missing or malformed.</exception>
    public static ImportanceMatrix Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        string file = Path.GetFileName(path);
        try
        {
            using var stream = new FileStream(path, FileMode.Open, FileAccess.Read);
            using var reader = new BinaryReader(stream);
            if (stream.Length < 4) throw new CheckpointException(file, "size", $"is {stream.Length} bytes, and 4 are its beginning");
            return reader.ReadUInt32() == GgufTypes.Magic ? new(file, OfGguf(path)) : new(file, OfBinary(file, reader));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { throw new CheckpointException(file, "file", error.Message, error); }
    }

    /// <summary>The importance of each column of each matrix of a weight, or null where the file does not tell.</summary>
    /// <exception cref="CheckpointException">It tells of another number of columns.</exception>
    internal float[]? Find(TensorSpec tensor)
    {
        if (!_values.TryGetValue(tensor.Name, out float[]? values)) return null;
        long wanted = tensor.Columns * (tensor.Dimensions.Length > 2 ? tensor.Dimensions[2] : 1);
        return values.Length == wanted ? values : throw new CheckpointException(File, tensor.Name, $"has {values.Length} values, and the weight has {wanted} columns");
    }

    private static Dictionary<string, float[]> OfGguf(string path)
    {
        GgufHeader header = GgufReader.Read(path);
        string file = Path.GetFileName(path);
        using var files = new CheckpointFiles();
        float[] Values(TensorSpec spec, long offset)
        {
            if (spec.Type != TensorType.F32) throw new CheckpointException(file, spec.Name, $"is {spec.Type}, and must be F32");
            var values = new float[spec.Elements];
            files.Read(path, offset, MemoryMarshal.AsBytes(values.AsSpan()));
            return values;
        }
        Dictionary<string, (TensorSpec Spec, long Offset)> tensors = header.Tensors.ToDictionary(tensor => tensor.Spec.Name, StringComparer.Ordinal);
        Dictionary<string, float[]> read = new(StringComparer.Ordinal);
        foreach ((TensorSpec spec, long offset) in header.Tensors.Where(tensor => tensor.Spec.Name.EndsWith(Sums, StringComparison.Ordinal)))
        {
            string name = spec.Name[..^Sums.Length];
            if (!tensors.TryGetValue(name + Counts, out (TensorSpec Spec, long Offset) counted)) throw new CheckpointException(file, name + Counts, $"is missing, and {spec.Name} is there");
            float[] values = Values(spec, offset), counts = Values(counted.Spec, counted.Offset);
            if (values.Length % counts.Length != 0) throw new CheckpointException(file, name, $"has {values.Length} sums for {counts.Length} counts");
            int columns = values.Length / counts.Length;
            for (int i = 0; i < values.Length; i++) values[i] = MathF.Round(counts[i / columns]) is > 0 and var count ? values[i] / count : 1;
            read[name] = values;
        }
        return read;
    }

    private static Dictionary<string, float[]> OfBinary(string file, BinaryReader reader)
    {
        Stream stream = reader.BaseStream;
        stream.Position = 0;
        int Count(string field, long bytesEach, long most)
        {
            if (stream.Length - stream.Position < 4) throw new CheckpointException(file, field, $"the file ends at byte {stream.Length}, before it");
            int count = reader.ReadInt32();
            long room = (stream.Length - stream.Position) / Math.Max(1, bytesEach);
            return count >= 0 && count <= Math.Min(room, most) ? count : throw new CheckpointException(file, field, $"is {count}, and the file has room for {room}");
        }
        Dictionary<string, float[]> read = new(StringComparer.Ordinal);
        int entries = Count("entries", 12, int.MaxValue);
        for (int i = 0; i < entries; i++)
        {
            string name = Encoding.UTF8.GetString(reader.ReadBytes(Count($"entry {i}, length of the name", 1, MaxNameBytes)));
            int calls = Count($"{name}, calls", 0, int.MaxValue);
            var values = new float[Count($"{name}, values", 4, int.MaxValue)];
            stream.ReadExactly(MemoryMarshal.AsBytes(values.AsSpan()));
            if (calls > 0)
            {
                for (int j = 0; j < values.Length; j++) values[j] /= calls;
            }
            if (values.Length == 0 || !read.TryAdd(name, values)) throw new CheckpointException(file, name, values.Length == 0 ? "has no values" : "appears twice");
        }
        return read;
    }
}
