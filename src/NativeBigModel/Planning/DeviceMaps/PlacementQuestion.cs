namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>What a device map is applied to.</summary>
/// <param name="Model">The model.</param>
/// <param name="Limits">What each device may hold.</param>
/// <param name="LimitsGiven">Whether somebody chose them.</param>
/// <param name="Offload">What becomes of layers on <c>cpu</c> and <c>disk</c>.</param>
/// <param name="Items">Input, layers and output where nothing is streamed.</param>
/// <param name="StreamedItems">The same where something is.</param>
/// <param name="Compute">What devices compute in where nothing is streamed.</param>
/// <param name="StreamedCompute">The same where something is.</param>
/// <param name="RingLayers">Length of the ring in that case.</param>
internal sealed record PlacementQuestion(
    ModelShape Model, MemoryLimits Limits, bool LimitsGiven, OffloadMode Offload, IReadOnlyList<Item> Items, IReadOnlyList<Item> StreamedItems,
    ComputeBuffers Compute, ComputeBuffers StreamedCompute, double RingLayers);
