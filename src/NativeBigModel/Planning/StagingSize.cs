namespace NativeBigModel.Planning;

/// <summary>
/// Bytes of host memory through which a disk's bytes pass on their way into rings, as native/dispatch_generic.cpp allocates them: every device that something streams to from
/// disk has so many readers, each with room for a piece of a tensor.
/// </summary>
internal static class StagingSize
{
    private const int Readers = 4;
    private const long LargestPiece = 8 << 20;
    private const long Block = 4096; // of a direct read, which begins and ends with one that holds other bytes as well

    /// <summary>The staging of a placement, over all its devices.</summary>
    /// <param name="placed">A plan's layers.</param>
    /// <param name="items">The items that they are, in the same order.</param>
    public static long Of(IReadOnlyList<LayerPlacement> placed, IReadOnlyList<Item> items) =>
        placed.Zip(items).Where(pair => pair.First is { Streamed: true, Device: DeviceName.Disk }).GroupBy(pair => pair.First.ComputeDevice).Sum(device => Of(device.Select(pair => pair.Second)));

    /// <summary>The most that placing these items may need.</summary>
    /// <param name="devices">Devices that something may stream to.</param>
    /// <param name="items">What may stream.</param>
    public static long AtMost(int devices, IEnumerable<Item> items) => devices * Of(items);

    private static long Of(IEnumerable<Item> items) => items.Select(item => item.LargestTensorBytes).DefaultIfEmpty().Max() is > 0 and long largest ? Readers * (Math.Min(largest, LargestPiece) / Block + 2) * Block : 0;
}
