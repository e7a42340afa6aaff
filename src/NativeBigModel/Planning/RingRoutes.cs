namespace NativeBigModel.Planning;

/// <summary>
/// Whose ring each item of a plan passes through: that of the device which computes it, if it is streamed. What the CPU computes between streamed items is streamed for long
/// prompts, and the devices that stream take turns at it, so that all their links are at work; where nothing else is streamed, the last device does it.
/// </summary>
internal sealed class RingRoutes
{
    private readonly Dictionary<string, string> _ringOf = [];

    public RingRoutes(IReadOnlyList<LayerPlacement> layers)
    {
        string[] streaming = [.. layers.Where(layer => layer.Streamed).Select(layer => layer.ComputeDevice).Distinct()];
        string[] turns = streaming.Length > 0 ? streaming : [(layers.LastOrDefault(layer => DeviceName.GpuIndex(layer.ComputeDevice) is not null) ?? layers[^1]).ComputeDevice];
        int turn = 0;
        foreach (LayerPlacement layer in layers)
        {
            if (layer.Streamed) _ringOf[layer.Name] = layer.ComputeDevice;
            else if (FeedForwardPart.IsShared(layer)) _ringOf[layer.Name] = turns[turn++ % turns.Length];
        }
        Devices = [.. _ringOf.Values.Distinct()];
    }

    /// <summary>The devices with a ring.</summary>
    public IReadOnlyList<string> Devices { get; }

    /// <summary>The device whose ring an item passes through, or null where it passes through none.</summary>
    public string? Of(LayerPlacement layer) => _ringOf.GetValueOrDefault(layer.Name);
}
