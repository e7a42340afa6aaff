namespace NativeBigModel.Native;

/// <summary>ggml's own quantiser. Needs the engine's base library, and no device.</summary>
internal static unsafe class GgmlQuantizer
{
    /// <summary>Quantises finite floats, whole rows at a time. Thread-safe.</summary>
    /// <param name="name">The tensor, for errors.</param>
    /// <param name="type">The type; without importance, one that does not need it.</param>
    /// <param name="values">Rows of <paramref name="columns"/> elements.</param>
    /// <param name="destination">Exactly the bytes that the rows take.</param>
    /// <param name="columns">A multiple of the type's block size.</param>
    /// <param name="importance">How much each column matters; empty where all do alike.</param>
    /// <exception cref="CheckpointException">The values give a scale that the type cannot hold.</exception>
    public static void Quantize(string name, TensorType type, ReadOnlySpan<float> values, Span<byte> destination, long columns, ReadOnlySpan<float> importance = default)
    {
        if (!importance.IsEmpty && importance.Length != columns) throw new ArgumentException($"{name}: {importance.Length} values of importance for {columns} columns", nameof(importance));
        long rows = values.Length / columns;
        if (destination.Length != type.RowBytes(columns) * rows || columns % type.BlockSize() != 0)
            throw new ArgumentException($"{name}: {rows} rows of {columns} {type} do not take {destination.Length} bytes", nameof(destination));
        fixed (float* from = values)
        fixed (byte* to = destination)
        fixed (float* weights = importance)
        {
            GgmlApi.GgmlQuantizeChunk(type, from, to, 0, rows, columns, weights);
        }
        Validate(name, type, destination);
    }

    /// <summary>The values that quantised rows stand for.</summary>
    public static void Dequantize(TensorType type, ReadOnlySpan<byte> rows, Span<float> values)
    {
        fixed (byte* from = rows)
        fixed (float* to = values) GgmlApi.GgmlGetTypeTraits(type)->ToFloat(from, to, values.Length);
    }

    /// <summary>Requires scales that are numbers.</summary>
    /// <exception cref="CheckpointException">The values gave a scale that the type cannot hold.</exception>
    public static void Validate(string name, TensorType type, ReadOnlySpan<byte> blocks)
    {
        fixed (byte* bytes = blocks)
        {
            if (!GgmlApi.GgmlValidateRowData(type, bytes, (nuint)blocks.Length))
                throw new CheckpointException(name, "values", $"are too large for {type}'s scales");
        }
    }
}
