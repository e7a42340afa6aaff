namespace NativeBigModel.Planning;

/// <summary>Bytes of the ring that streamed tensors pass through, as native/nbm.h lays it out: groups follow each other, and the next comes into what the last leave.</summary>
internal static class RingSize
{
    /// <summary>A token's layers come at the link's speed through a ring of hardly more than one; a long prompt computes so long that half of the next must come meanwhile.</summary>
    public const double Usual = 1.5;

    private const double Longest = 2.5; // that anything was seen to gain from
    private const double Step = 0.01;
    private const long Alignment = 256;
    private const long WholeRows = 512; // elements; ggml's CUDA backend wants so much room for the last row of a quantised tensor (ggml-cuda.cu, MATRIX_ROW_PADDING)

    /// <summary>The ring of a device in a placement: room for the largest group that passes through it, and for as much of the next layer as <paramref name="layers"/> says.</summary>
    /// <param name="device">The device.</param>
    /// <param name="layers">Its length in the largest layer that passes through it, at least 1.</param>
    /// <param name="placed">A plan's layers.</param>
    /// <param name="items">The items that they are, in the same order.</param>
    public static long Of(string device, double layers, IReadOnlyList<LayerPlacement> placed, IReadOnlyList<Item> items) => Bytes(layers, Groups(device, placed, items));

    /// <summary>The length, to a hundredth, that a device's ring may have within so many more bytes, as far as more is of use.</summary>
    public static double Stretched(string device, double layers, long spare, IReadOnlyList<LayerPlacement> placed, IReadOnlyList<Item> items)
    {
        double layer = Groups(device, placed, items).Layer;
        return layer <= 0 ? layers : Math.Clamp(Math.Floor((layers + Math.Max(0, spare - Alignment) / layer) / Step) * Step, layers, Math.Max(layers, Longest));
    }

    /// <summary>The most that placing these items may need.</summary>
    public static long AtMost(string device, double layers, IEnumerable<Item> items) => Bytes(layers, Groups(items, _ => false, device == DeviceName.Host));

    /// <summary>Bytes of tensors in the ring, each from an aligned place on and with as much behind it as any device wants.</summary>
    public static long Of(IEnumerable<TensorSpec> tensors) => tensors.Sum(tensor => Aligned(tensor.Bytes + Padding(tensor)));

    /// <summary>Bytes of tensors in a ring that files are read straight into.</summary>
    public static long ReadInPlace(IEnumerable<TensorSpec> tensors) => tensors.Sum(tensor => FileRead.Room(tensor.Bytes));

    private static (long Largest, long Layer) Groups(string device, IReadOnlyList<LayerPlacement> placed, IReadOnlyList<Item> items)
    {
        var routes = new RingRoutes(placed);
        List<(LayerPlacement Layer, Item Item)> passing = [.. placed.Zip(items).Where(pair => routes.Of(pair.First) == device)];
        HashSet<string> onCpu = [.. passing.Where(pair => !pair.Layer.Streamed).Select(pair => pair.Layer.Name)];
        return Groups(passing.Select(pair => pair.Item), onCpu.Contains, device == DeviceName.Host && placed.Any(layer => layer is { Streamed: true, Device: DeviceName.Disk }));
    }

    private static long Padding(TensorSpec tensor) => tensor.Type.IsQuantized() && tensor.Columns % WholeRows is > 0 and long last ? tensor.Type.RowBytes(WholeRows - last) : 0;

    // The streamed parts of a layer travel together; one that the CPU computes travels matrix by matrix, for prompts.
    private static (long Largest, long Layer) Groups(IEnumerable<Item> passing, Func<string, bool> byMatrix, bool readInPlace)
    {
        long largest = 0, layer = 0;
        foreach (IGrouping<string, Item> part in passing.GroupBy(item => byMatrix(item.Name) ? item.Name : FeedForwardPart.LayerOf(item.Name) ?? item.Name))
        {
            long bytes = part.Sum(item => readInPlace ? item.DirectRingBytes : item.RingBytes);
            largest = Math.Max(largest, byMatrix(part.Key) ? part.Max(item => readInPlace ? item.DirectMatrixRingBytes : item.MatrixRingBytes) : bytes);
            if (part.Key != Item.Output) layer = Math.Max(layer, bytes);
        }
        return (largest, layer);
    }

    private static long Bytes(double layers, (long Largest, long Layer) groups) =>
        groups.Largest == 0 ? 0 : checked(Aligned(groups.Largest + (long)((layers - 1) * groups.Layer)) + Alignment);

    private static long Aligned(long bytes) => (bytes + Alignment - 1) / Alignment * Alignment;
}
