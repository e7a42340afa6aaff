namespace NativeBigModel.Planning;

/// <summary>
/// Bytes of host memory through which a disk's bytes pass on their way into GPUs' rings, as native/dispatch_generic.cpp allocates them: every GPU that something streams to from
/// disk has so many readers, each with room for a piece of a tensor. What comes to the CPU is read straight into its ring.
/// </summary>
internal static class StagingSize
{
    private const int Readers = 4;
    private const long LargestPiece = 8 << 20;

    /// <summary>The staging of a placement, over all its devices.</summary>
    /// <param name="placed">A plan's layers.</param>
    /// <param name="items">The items that they are, in the same order.</param>
    public static long Of(IReadOnlyList<LayerPlacement> placed, IReadOnlyList<Item> items) =>
        placed.Zip(items).Where(pair => pair.First is { Streamed: true, Device: DeviceName.Disk, ComputeDevice: not DeviceName.Host }).GroupBy(pair => pair.First.ComputeDevice).Sum(device => Of(device.Select(pair => pair.Second)));

    /// <summary>The most that placing these items may need.</summary>
    /// <param name="devices">Devices that something may stream to.</param>
    /// <param name="items">What may stream.</param>
    public static long AtMost(IEnumerable<string> devices, IEnumerable<Item> items) => devices.Count(device => device != DeviceName.Host) * Of(items);

    private static long Of(IEnumerable<Item> items) => items.Select(item => item.LargestTensorBytes).DefaultIfEmpty().Max() is > 0 and long largest ? Readers * FileRead.Room(Math.Min(largest, LargestPiece)) : 0;
}
