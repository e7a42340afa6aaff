namespace NativeBigModel.Native;

/// <summary>ggml's own quantiser. Needs the engine's base library, and no device.</summary>
internal static unsafe class GgmlQuantizer
{
    /// <summary>Quantises finite floats, whole rows at a time. Thread-safe.</summary>
    /// <param name="name">The tensor, for errors.</param>
    /// <param name="type">A type that needs no importance matrix.</param>
    /// <param name="values">Rows of <paramref name="columns"/> elements.</param>
    /// <param name="destination">Exactly the bytes that the rows take.</param>
    /// <param name="columns">A multiple of the type's block size.</param>
    /// <exception cref="CheckpointException">The values give a scale that the type cannot hold.</exception>
    public static void Quantize(string name, TensorType type, ReadOnlySpan<float> values, Span<byte> destination, long columns)
    {
        long rows = values.Length / columns;
        if (destination.Length != type.RowBytes(columns) * rows || columns % type.BlockSize() != 0)
            throw new ArgumentException($"{name}: {rows} rows of {columns} {type} do not take {destination.Length} bytes", nameof(destination));
        fixed (float* from = values)
        fixed (byte* to = destination)
        {
            GgmlApi.GgmlQuantizeChunk(type, from, to, 0, rows, columns, null);
            if (!GgmlApi.GgmlValidateRowData(type, to, (nuint)destination.Length))
                throw new CheckpointException(name, "values", $"are too large for {type}'s scales");
        }
    }
}
