using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>Carries a <see cref="DeviceMap"/> over to llama.cpp's layers.</summary>
internal static class DeviceMapPlanner
{
    private static readonly InferenceOptions s_wholeLayers = new() { Whole = ImmutableHashSet.Create(ModelModules.LayerClass) };

    /// <exception cref="InvalidOptionException">The map does not suit the model, the devices or llama.cpp.</exception>
    /// <exception cref="DoesNotFitException">A device would hold more than it may.</exception>
    public static MappedPlacement Place(DeviceMap map, PlacementQuestion question) =>
        map.Strategy is null ? Require(MappedPlacement.Of(ByName(map, question), question)) : Infer(map, question);

    /// <summary>Where each module goes by accelerate's own rules, whatever else a plan needs and llama.cpp can follow.</summary>
    /// <param name="map">A strategy, or modules by name.</param>
    /// <param name="model">The model.</param>
    /// <param name="limits">What each device may hold.</param>
    /// <param name="given">Whether somebody chose the limits, rather than their being what is free.</param>
    /// <exception cref="InvalidOptionException">The map does not suit the model or the devices.</exception>
    public static ModuleDevices Answer(DeviceMap map, ModelShape model, MemoryLimits limits, bool given) =>
        map.Strategy is null ? ByName(map, model, limits, OffloadMode.Cpu).Devices : Infer(map, limits, ModelModules.Of(model), given).Devices;

    private static LayerDevices ByName(DeviceMap map, PlacementQuestion question)
    {
        (ModuleDevices devices, ModelModules modules) = ByName(map, question.Model, question.Limits, question.Offload);
        return LayerDevices.Of(devices, modules, question.Items);
    }

    private static (ModuleDevices Devices, ModelModules Modules) ByName(DeviceMap map, ModelShape model, MemoryLimits limits, OffloadMode offload)
    {
        ModelModules modules = ModelModules.Of(model);
        Dictionary<string, (string Name, string Device)> entries = [];
        foreach ((string name, string device) in map.Entries)
        {
            string path = modules.Find(name) ?? throw new InvalidOptionException($"device map: '{name}' is no module of this model, which has {model.Layers.Length} layers");
            if (entries.TryGetValue(path, out (string Name, string Device) other) && other.Device != device)
                throw new InvalidOptionException($"device map: '{other.Name}' is on {DeviceName.Label(other.Device)} and '{name}' on {DeviceName.Label(device)}, and both name {path}");
            RequireDevice(name, device, limits, offload);
            entries[path] = (name, device);
        }
        var devices = ModuleDevices.Of(entries.Select(entry => KeyValuePair.Create(entry.Key, entry.Value.Device)));
        devices.Check(modules.Tree);
        return (devices, modules);
    }

    private static void RequireDevice(string name, string device, MemoryLimits limits, OffloadMode offload)
    {
        bool there = device == DeviceName.Disk || (DeviceName.GpuIndex(device) is { } gpu ? limits.Gpus.ContainsKey(gpu) : limits.Host is not null);
        if (!there) throw new InvalidOptionException($"device map: '{name}' is on {DeviceName.Label(device)}, and the plan may use {string.Join(", ", Names(limits))}");
        if (device == DeviceName.Host && offload == OffloadMode.Disk)
            throw new InvalidOptionException($"device map: '{name}' is on {device}, and layers beyond the GPUs stay on disk (offload disk)");
    }

    private static IEnumerable<string> Names(MemoryLimits limits) =>
        [.. limits.Gpus.Keys.Select(gpu => DeviceName.Label(DeviceName.Gpu(gpu))), .. limits.Host is null ? Array.Empty<string>() : [DeviceName.Host], DeviceName.Disk];

    // accelerate counts weights alone. Where that leaves no room for what else a plan needs, it is asked again with all of it counted.
    private static MappedPlacement Infer(DeviceMap map, PlacementQuestion question)
    {
        MemoryLimits limits = question.Offload == OffloadMode.Disk ? question.Limits with { Host = null } : question.Limits;
        MappedPlacement weightsOnly = Infer(map, limits, ModelModules.Of(question.Model), question);
        if (weightsOnly.Overfull is not { } device) return weightsOnly;
        IReadOnlyList<Item> items = weightsOnly.Target is null ? question.Items : question.StreamedItems;
        ComputeBuffers compute = weightsOnly.Target is null ? question.Compute : question.StreamedCompute;
        MemoryLimits left = Less(limits, DeviceName.Host, items[0].WeightBytes + compute.On(DeviceName.Host, !limits.Gpus.IsEmpty));
        foreach (int gpu in limits.Gpus.Keys) left = Less(left, DeviceName.Gpu(gpu), compute.On(DeviceName.Gpu(gpu), gpus: true));
        ModelModules withCache = ModelModules.WithCache(question.Model, items);
        MappedPlacement placed = Infer(map, left, withCache, question);
        if (placed.Overfull is not null && placed.Target is { } target)
        {
            left = Less(left, target, RingSize.AtMost(target, question.RingLayers, question.StreamedItems));
            placed = Infer(map, left, withCache, question);
        }
        if (placed is { Overfull: not null, Target: { } reader } && placed.Layers.Any(layer => layer.Device == DeviceName.Disk))
            placed = Infer(map, Less(left, DeviceName.Host, StagingSize.AtMost([reader], question.StreamedItems.Skip(1))), withCache, question);
        string note = $"accelerate counts weights alone, and {DeviceName.Label(device.Name)} would hold {device.TotalBytes} of {device.LimitBytes} bytes with the rest; its answer here counts the KV cache, the ring, staging and the compute buffers as well";
        return Require(placed with { Notes = [.. placed.Notes, note] });
    }

    private static InferredDevices Infer(DeviceMap map, MemoryLimits limits, ModelModules modules, bool given)
    {
        MemoryLimits caps = map.Strategy == DeviceMapStrategy.Sequential
            ? limits
            : BalancedMemory.Of(modules.Tree, new(modules.Tree), limits, given, s_wholeLayers.Whole, map.Strategy == DeviceMapStrategy.BalancedLowZero);
        return DeviceInference.Infer(modules.Tree, caps, s_wholeLayers with { Fallback = map.FallbackAllocation });
    }

    private static MappedPlacement Infer(DeviceMap map, MemoryLimits limits, ModelModules modules, PlacementQuestion question)
    {
        InferredDevices inferred = Infer(map, limits, modules, question.LimitsGiven);
        MappedPlacement placed = MappedPlacement.Of(LayerDevices.Of(inferred.Devices, modules, question.Items), question);
        return placed with { Notes = [.. placed.Notes, .. inferred.Shortages.Select(shortage => $"accelerate leaves {DeviceName.Label(shortage.Device)} empty: {shortage.Bytes} bytes would be needed to begin on it")] };
    }

    private static MemoryLimits Less(MemoryLimits limits, string device, long bytes) => DeviceName.GpuIndex(device) is { } gpu
        ? limits with { Gpus = limits.Gpus.SetItem(gpu, Math.Max(0, limits.Gpus[gpu] - bytes)) }
        : limits with { Host = limits.Host is { } host ? Math.Max(0, host - bytes) : null };

    private static MappedPlacement Require(MappedPlacement placed) => placed.Overfull is { } device
        ? throw new DoesNotFitException(device.Name, device.TotalBytes, device.LimitBytes!.Value, "the device map puts that much there: move layers, allow more, or plan without a map")
        : placed;
}
