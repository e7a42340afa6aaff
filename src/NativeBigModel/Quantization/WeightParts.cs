using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Conversion;

namespace NativeBigModel.Quantization;

/// <summary>The stored tensors that make up quantised weights, by name, each checked before it is used.</summary>
internal sealed class WeightParts(FolderTensors files)
{
    public const int MaxSmallBytes = 1 << 16;

    public StoredTensor? Find(string name)
    {
        StoredTensor? tensor = files.Find(name);
        return tensor is { ColumnMajor: true } ? throw new UnsupportedModelException($"{FileOf(tensor)}: {name}: a part of a quantised weight that lies column by column is not read") : tensor;
    }

    public StoredTensor Require(string name, string whole, params ReadOnlySpan<string> types)
    {
        StoredTensor tensor = Find(name) ?? throw new CheckpointException(files.IndexName, name, $"is missing, and {whole} cannot be read without it");
        return types.Contains(tensor.DataType) ? tensor : throw Error(tensor, $"has elements of {tensor.DataType}, and must have {string.Join(" or ", types.ToArray())}");
    }

    public StoredTensor RequireFloats(string name, string whole) => Require(name, whole, "F32", "F16", "BF16");

    /// <summary>A part that must have exactly this shape.</summary>
    public static StoredTensor Shaped(StoredTensor tensor, params ReadOnlySpan<long> shape) =>
        tensor.Shape.AsSpan().SequenceEqual(shape) ? tensor : throw Error(tensor, $"has shape [{string.Join(", ", tensor.Shape)}], and [{string.Join(", ", shape.ToArray())}] is needed");

    /// <summary>A part that must have this many elements, in any shape.</summary>
    public static StoredTensor Counted(StoredTensor tensor, long count) =>
        tensor.Shape.Aggregate(1L, (product, extent) => product * extent) == count ? tensor : throw Error(tensor, $"has shape [{string.Join(", ", tensor.Shape)}], and {count} elements are needed");

    /// <summary>Rows and columns of a part that must be a matrix.</summary>
    public static (long Rows, long Columns) Matrix(StoredTensor tensor) =>
        tensor.Shape is [> 0 and var rows, > 0 and var columns] ? (rows, columns) : throw Error(tensor, $"has shape [{string.Join(", ", tensor.Shape)}], and a matrix is needed");

    /// <summary>All bytes of a part that describes others and is small.</summary>
    public static byte[] ReadSmall(StoredTensor tensor)
    {
        if (tensor.Bytes > MaxSmallBytes) throw Error(tensor, $"has {tensor.Bytes} bytes, and at most {MaxSmallBytes} are read");
        byte[] bytes = new byte[tensor.Bytes];
        using var opened = new CheckpointFiles();
        opened.Read(tensor.File, tensor.Offset, bytes);
        return bytes;
    }

    /// <summary>Some elements of a part, which must be floats, as F32.</summary>
    public static void ReadFloats(CheckpointFiles opened, StoredTensor tensor, long first, Span<float> values)
    {
        TensorType type = Checkpoints.Safetensors.SafetensorsTypes.AsTensorType(tensor.DataType)!.Value;
        byte[] bytes = new byte[type.RowBytes(values.Length)];
        opened.Read(tensor.File, tensor.Offset + type.RowBytes(first), bytes);
        Floats.Widen(bytes, type, values);
    }

    public static CheckpointException Error(StoredTensor tensor, string problem) => new(FileOf(tensor), tensor.Name, problem);

    private static string FileOf(StoredTensor tensor) => Path.GetFileName(tensor.File);
}
