namespace NativeBigModel.Planning;

/// <summary>Whether a plan is one for a given model, with every number what the model's shape makes it.</summary>
internal static class PlanCheck
{
    /// <exception cref="InvalidOptionException">It is not; the message has the two numbers or names that disagree.</exception>
    /// <exception cref="DoesNotFitException">A device would hold more than its limit.</exception>
    public static void Require(Plan plan, ModelShape model)
    {
        foreach (Enum value in (Enum[])[plan.WeightType, plan.KvType])
        {
            if (!Enum.IsDefined(value.GetType(), value)) throw new InvalidOptionException($"plan: {value.GetType().Name} {value} is none");
        }
        bool split = plan.SplitsLayers;
        var options = new PlanOptions
        {
            WeightType = plan.WeightType, ContextLength = plan.ContextLength, Sessions = plan.Sessions, KvType = plan.KvType, FlashAttention = plan.FlashAttention, BatchSize = plan.BatchSize,
            LinkedExperts = plan.LinkedExperts, SharedBatchSize = plan.SharedBatchSize, RingLayers = plan.RingLayers != 0 || plan.Streams || split ? plan.RingLayers : null,
        };
        List<Item> items = Planner.Items(model, options);
        if (split) items = Planner.Parts(model, items);
        Same("model", "weight bytes", plan.WeightBytes, model.WeightBytes);
        Same("model", "items", plan.Layers.Length, items.Count);
        foreach ((LayerPlacement layer, Item item) in plan.Layers.Zip(items)) RequireLayer(layer, item);
        // A feed-forward part may be computed elsewhere; the layer is where its attention is.
        LayerPlacement[] layers = [.. plan.EngineLayers];
        if (ConsecutiveLayers.FirstGap([.. layers.Select(layer => layer.ComputeDevice)]) is { } gap)
            throw new InvalidOptionException($"plan: {layers[gap].Name} is computed by {DeviceName.Label(layers[gap].ComputeDevice)}, and {layers[gap - 1].Name} before it is not, though earlier layers are");
        if (plan.LinkedExperts > 0 && LinkedExperts.Divisible(plan, model).Count == 0)
            throw new InvalidOptionException($"plan: linked experts are {plan.LinkedExperts}, and the feed-forward parts with experts that the CPU computes are 0");
        var routes = new RingRoutes(plan.Layers);
        foreach (LayerPlacement part in plan.Layers.Where(layer => layer.IsFeedForward && layer.ComputeDevice != DeviceName.Host))
        {
            string owner = layers.First(layer => layer.Number == part.Number).ComputeDevice;
            if (!part.Streamed && part.ComputeDevice != owner) throw new InvalidOptionException($"plan: {part.Name} rests on {DeviceName.Label(part.ComputeDevice)}, and its layer is computed by {DeviceName.Label(owner)}; another GPU may only stream it");
            if (!layers.Any(layer => layer.ComputeDevice == part.ComputeDevice)) throw new InvalidOptionException($"plan: {part.Name} is computed by {DeviceName.Label(part.ComputeDevice)}, which computes no layer's attention");
        }
        if (routes.Devices.Count > 1 && routes.Devices.Contains(DeviceName.Host))
            throw new InvalidOptionException($"plan: layers are streamed to {DeviceName.Label(routes.Devices[0])} and to {DeviceName.Label(routes.Devices[1])}; either GPUs compute all of them or the CPU does");
        foreach (string used in plan.Layers.SelectMany(layer => (string[])[layer.Device, layer.ComputeDevice]).Distinct())
            Same(DeviceName.Label(used), "entries among the devices", plan.Devices.Count(device => device.Name == used), 1);
        foreach (DevicePlan device in plan.Devices)
        {
            Same(DeviceName.Label(device.Name), "weight bytes", device.WeightBytes, plan.Layers.Where(layer => layer.Device == device.Name).Sum(layer => layer.WeightBytes));
            Same(DeviceName.Label(device.Name), "KV bytes", device.KvBytes, plan.Layers.Where(layer => layer.ComputeDevice == device.Name).Sum(layer => layer.KvBytes));
            Same(DeviceName.Label(device.Name), "ring bytes", device.RingBytes, RingSize.Of(device.Name, plan.RingLayers, plan.Layers, items));
            Same(DeviceName.Label(device.Name), "staging bytes", device.StagingBytes, device.Name == DeviceName.Host ? StagingSize.Of(plan.Layers, items) : 0);
            if (device.ComputeBytes < 0) throw new InvalidOptionException($"plan: {DeviceName.Label(device.Name)}: compute bytes are {device.ComputeBytes}, and cannot be less than 0");
            if (device.TotalBytes > device.LimitBytes) throw new DoesNotFitException(device.Name, device.TotalBytes, device.LimitBytes.Value, "the plan puts that much there");
        }
    }

    private static void RequireLayer(LayerPlacement layer, Item item)
    {
        if (layer.Name != item.Name) throw new InvalidOptionException($"plan: '{layer.Name}' stands where this model has {item.Name}");
        foreach (string device in (string[])[layer.Device, layer.ComputeDevice])
        {
            if (device is not (DeviceName.Host or DeviceName.Disk) && DeviceName.GpuIndex(device) is null) throw new InvalidOptionException($"plan: {layer.Name}: '{device}' is no device");
        }
        if (layer.ComputeDevice == DeviceName.Disk) throw new InvalidOptionException($"plan: {layer.Name}: the disk computes nothing");
        if (layer.Name == Item.Input && (layer.Device, layer.ComputeDevice) != (DeviceName.Host, DeviceName.Host))
            throw new InvalidOptionException($"plan: {layer.Name} is on {DeviceName.Label(layer.Device)}, and llama.cpp keeps it in host memory");
        // What is streamed rests in memory or on disk, and the CPU may stream from its own memory.
        if (layer.Streamed ? DeviceName.GpuIndex(layer.Device) is not null : layer.Device != layer.ComputeDevice)
            throw new InvalidOptionException($"plan: {layer.Name} rests on {DeviceName.Label(layer.Device)} and is computed by {DeviceName.Label(layer.ComputeDevice)}, and streamed is {layer.Streamed}");
        Same(layer.Name, "weight bytes", layer.WeightBytes, item.WeightBytes + (DeviceName.GpuIndex(layer.Device) is null ? 0 : item.SharedBytes));
        Same(layer.Name, "KV bytes", layer.KvBytes, item.KvBytes);
    }

    private static void Same(string place, string what, long planned, long actual)
    {
        if (planned != actual) throw new InvalidOptionException($"plan: {place}: {what} are {planned}, and this model makes them {actual}");
    }
}
