using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>The items of a model on the devices that a map gives them, and what each device then holds.</summary>
/// <param name="Layers">In the order of the items.</param>
/// <param name="Devices">The devices with their bytes, which may exceed their limits.</param>
/// <param name="Notes">What llama.cpp does otherwise than the map says.</param>
/// <param name="Target">The device that computes what is streamed, or null where nothing is.</param>
internal sealed record MappedPlacement(ImmutableArray<LayerPlacement> Layers, ImmutableArray<DevicePlan> Devices, ImmutableArray<string> Notes, string? Target)
{
    /// <summary>The first device that would hold more than it may, or null.</summary>
    public DevicePlan? Overfull => Devices.FirstOrDefault(device => device.TotalBytes > device.LimitBytes);

    /// <exception cref="InvalidOptionException">A device would compute layers that do not follow each other.</exception>
    /// <exception cref="DoesNotFitException">The ring has no room.</exception>
    public static MappedPlacement Of(LayerDevices map, PlacementQuestion question)
    {
        (MemoryLimits limits, OffloadMode offload) = (question.Limits, question.Offload);
        bool streams = map.Devices.Skip(1).Any(device => device == DeviceName.Disk || (device == DeviceName.Host && offload == OffloadMode.Stream && !limits.Gpus.IsEmpty));
        IReadOnlyList<Item> items = streams ? question.StreamedItems : question.Items;
        string[] targets = [.. limits.Gpus.IsEmpty || (offload == OffloadMode.Cpu && limits.Host is not null) ? [DeviceName.Host] : limits.Gpus.Keys.Reverse().Select(DeviceName.Gpu)];
        string Computing(string device, string target) => device == DeviceName.Disk || (device == DeviceName.Host && offload == OffloadMode.Stream) ? target : device;
        string[] Layers(string target) => [.. map.Devices[1..^1].Select(device => Computing(device, target))];

        // Layers that are streamed go to the last GPU that keeps every device's layers together.
        string target = targets.FirstOrDefault(target => ConsecutiveLayers.FirstGap(Layers(target)) is null) ?? targets[0];
        string[] computing = Layers(target);
        if (ConsecutiveLayers.FirstGap(computing) is { } gap)
            throw new InvalidOptionException($"device map: {DeviceName.Label(computing[gap])} computes {items[gap + 1].Name} and earlier layers, but not {items[gap].Name} before it; llama.cpp gives a device layers that follow each other");

        var ledger = new DeviceLedger(limits, streams ? question.StreamedCompute : question.Compute);
        List<LayerPlacement> layers = [Put(items[0], DeviceName.Host, DeviceName.Host, ledger)];
        for (int i = 1; i < items.Count - 1; i++) layers.Add(Put(items[i], map.Devices[i], computing[i - 1], ledger));

        // The output may not return to a device that was left, and an embedding that is used twice is not streamed.
        string output = ConsecutiveLayers.FirstGap([.. computing, Computing(map.Devices[^1], target)]) is null ? map.Devices[^1] : map.Devices[^2], computes = Computing(output, target);
        if (items[^1].SharedBytes > 0 && computes != DeviceName.Host) output = computes;
        layers.Add(Put(items[^1], output, computes, ledger));
        if (streams) ledger.AddRing(target, RingSize.Of(target, question.RingLayers, layers, items));
        ledger.SettleStaging(StagingSize.Of(layers, items));
        ImmutableArray<string> notes = map.Devices[^1] == output && map.FinalNorm == output ? map.Notes
            : [.. map.Notes, $"the output is on {DeviceName.Label(output)} as llama.cpp computes it: after the last layer, norm and projection together; the map has model.norm on {DeviceName.Label(map.FinalNorm)} and lm_head on {DeviceName.Label(map.Devices[^1])}"];
        return new([.. layers], ledger.ToPlan(), notes, streams ? target : null);
    }

    private static LayerPlacement Put(Item item, string rests, string computes, DeviceLedger ledger)
    {
        long weights = item.WeightBytes + (DeviceName.GpuIndex(rests) is null ? 0 : item.SharedBytes);
        ledger.Add(rests, weights, 0);
        ledger.Add(computes, 0, item.KvBytes);
        return new(item.Name, rests, computes, rests != computes, weights, item.KvBytes);
    }
}
