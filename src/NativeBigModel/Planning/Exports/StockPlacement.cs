using System.Collections.Immutable;

namespace NativeBigModel.Planning.Exports;

/// <summary>
/// A plan in the terms of llama.cpp as it is published, without this library's devices: the last layers go to the GPUs, each GPU takes a number of
/// layers that follow each other, and the weights of named tensors may lie in host memory instead.
/// </summary>
/// <param name="GpuLayers">n_gpu_layers: the last layers, the output among them.</param>
/// <param name="LayersOfGpu">
/// tensor_split: layers by GPU number. llama.cpp compares running sums over their total with a layer's position over n_gpu_layers (llama-model.cpp,
/// load_tensors); as the total is n_gpu_layers, both are the same quotients of whole numbers, and nothing is rounded apart.
/// </param>
/// <param name="HostTensors">A regular expression (ECMAScript) of the tensors that lie in host memory all the same, or null.</param>
/// <param name="Notes">Where this is not what the plan says, one sentence each.</param>
internal sealed record StockPlacement(int GpuLayers, ImmutableArray<int> LayersOfGpu, string? HostTensors, ImmutableArray<string> Notes)
{
    /// <exception cref="InvalidOptionException">The plan uses the GPUs in another order than theirs.</exception>
    public static StockPlacement Of(Plan plan)
    {
        // A layer is where its attention is; the pattern below says where the parts of one are.
        ImmutableArray<LayerPlacement> items = [.. plan.Computed], layers = [.. plan.EngineLayers];
        int first = layers.TakeWhile(layer => DeviceName.GpuIndex(layer.ComputeDevice) is null).Count();
        List<int> counts = [];
        List<(int Gpu, LayerPlacement Layer)> guests = [];
        foreach (LayerPlacement layer in layers[first..])
        {
            int gpu = DeviceName.GpuIndex(layer.ComputeDevice) ?? counts.Count - 1;
            if (gpu < counts.Count - 1)
                throw new InvalidOptionException($"export: the plan has {layer.Name} on GPU {gpu} after layers on GPU {counts.Count - 1}, and stock llama.cpp fills GPUs in their order");
            while (counts.Count <= gpu) counts.Add(0);
            counts[gpu]++;
            if (layer.ComputeDevice == DeviceName.Host && layer.KvBytes > 0) guests.Add((gpu, layer));
        }
        return new(layers.Length - first, [.. counts], Pattern(items, layers[..first], plan.SplitsLayers), [.. plan.Notes, .. StreamingNotes(items), .. LinkNotes(plan), .. guests.GroupBy(guest => guest.Gpu, guest => guest.Layer).Select(ofGpu => CacheNote(plan, ofGpu.Key, [.. ofGpu]))]);
    }

    // An output that shares the embedding is made of the tensor of that name, which as input is in host memory anyway.
    private static string? Pattern(ImmutableArray<LayerPlacement> items, ImmutableArray<LayerPlacement> beforeGpus, bool split)
    {
        LayerPlacement[] host = [.. items.Except(beforeGpus).Where(layer => DeviceName.GpuIndex(layer.Device) is null)];
        return TensorPattern.Of(host, split, "output|token_embd") is { } names ? $"^({names})" : null;
    }

    private static IEnumerable<string> StreamingNotes(ImmutableArray<LayerPlacement> layers)
    {
        foreach (IGrouping<(string Device, string ComputeDevice), LayerPlacement> group in layers.Where(layer => layer.Streamed).GroupBy(layer => (layer.Device, layer.ComputeDevice)))
        {
            string computed = group.Key.ComputeDevice == DeviceName.Host ? "" : "; the CPU computes them, and only large batches are copied to a GPU";
            string rest = group.Key.Device == DeviceName.Disk ? "the file is mapped and the system pages their weights in" : "their weights lie in host memory";
            yield return $"{Names([.. group])} cannot be streamed by stock llama.cpp: {rest}{computed}";
        }
    }

    private static IEnumerable<string> LinkNotes(Plan plan)
    {
        LayerPlacement[] parts = [.. plan.Layers.Where(FeedForwardPart.IsShared)];
        if (plan.LinkedExperts > 0) yield return $"{plan.LinkedExperts} of the experts that a token uses in {Names(parts)} cannot be read over the link by a GPU in stock llama.cpp: the CPU computes them";
    }

    private static string CacheNote(Plan plan, int gpu, List<LayerPlacement> layers)
    {
        DevicePlan device = plan.Devices.First(device => device.Name == DeviceName.Gpu(gpu));
        long total = device.TotalBytes - device.RingBytes + layers.Sum(layer => layer.KvBytes);
        return $"the keys and values of {Names(layers)} lie on GPU {gpu} in stock llama.cpp, which holds {total} of {device.LimitBytes} bytes then";
    }

    private static string Names(IReadOnlyList<LayerPlacement> layers) =>
        layers.Count == 1 ? layers[0].Name : $"{layers.Count} layers ({layers[0].Name} to {layers[^1].Name})";
}
