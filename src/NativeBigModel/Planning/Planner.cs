using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>Decides where every layer lives. Pure: the same shape, machine and options give the same plan.</summary>
public static class Planner
{
    /// <summary>Plans whole layers: the GPUs are filled in order, then host memory, and the rest stays on disk.</summary>
    /// <param name="model">The model, with its tensors in the types that they will have.</param>
    /// <param name="machine">What there is; its GPUs and RAM are the limits unless <paramref name="options"/> sets others.</param>
    /// <param name="options">What is asked for.</param>
    /// <exception cref="DoesNotFitException">Not even the parts that must be in memory fit.</exception>
    /// <exception cref="InvalidOptionException">The options contradict the model.</exception>
    public static Plan Plan(ModelShape model, Machine machine, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(options);
        int context = ContextLength(model, options);
        var devices = new DeviceLedger(options.MaxMemory ?? MemoryLimits.Of(machine));
        var placements = new List<LayerPlacement>();

        List<Item> items = [.. Items(model, options, context)];
        long kvToCome = items.Sum(item => item.KvBytes);
        foreach (Item item in items)
        {
            kvToCome -= item.KvBytes;
            placements.Add(Place(item, devices, kvToCome));
        }
        return new Plan
        {
            Model = model.Name,
            WeightType = options.WeightType,
            ContextLength = context,
            KvType = options.KvType,
            FlashAttention = options.FlashAttention,
            BatchSize = options.BatchSize,
            Layers = [.. placements],
            Devices = devices.ToPlan(),
            WeightBytes = model.WeightBytes,
        };
    }

    private static int ContextLength(ModelShape model, PlanOptions options)
    {
        if (!KvCache.Types.Contains(options.KvType)) throw new InvalidOptionException($"KV type {options.KvType}: a cache may be {string.Join(", ", KvCache.Types)}");
        if (options.KvType.IsQuantized() && !options.FlashAttention) throw new InvalidOptionException($"KV type {options.KvType} needs flash attention");
        foreach (LayerShape layer in model.Layers)
        {
            if (layer.KvHeadCount > 0 && layer.KeyLength % options.KvType.BlockSize() != 0)
                throw new InvalidOptionException($"KV type {options.KvType}: packs {options.KvType.BlockSize()} elements together, and this model's heads have {layer.KeyLength}");
        }
        if (options.BatchSize < 1) throw new InvalidOptionException($"batch size {options.BatchSize}: at least 1 token is computed at a time");
        if (options.ContextLength is not { } asked) return Math.Min(model.ContextLength, PlanOptions.DefaultContextLength);
        if (asked < 1 || asked > model.ContextLength) throw new InvalidOptionException($"context {asked}: this model is defined for 1 to {model.ContextLength} tokens");
        return asked;
    }

    private sealed record Item(string Name, long WeightBytes, long KvBytes, long SharedBytes = 0);

    private static IEnumerable<Item> Items(ModelShape model, PlanOptions options, int context)
    {
        ILookup<int, TensorSpec> byLayer = model.Tensors.ToLookup(tensor => tensor.Layer);
        List<TensorSpec> output = [.. byLayer[-1].Where(tensor => tensor.Name.StartsWith("output", StringComparison.Ordinal))];
        long input = byLayer[-1].Except(output).Sum(tensor => tensor.Bytes);
        // With tied weights the output projection is the embedding: shared where both are on one device, copied where they are not.
        bool tied = !output.Any(tensor => tensor.Name == "output.weight");
        long shared = tied ? byLayer[-1].FirstOrDefault(tensor => tensor.Name == "token_embd.weight")?.Bytes ?? 0 : 0;
        yield return new Item("input", input, 0);
        for (int i = 0; i < model.Layers.Length; i++)
            yield return new Item($"blk.{i}", byLayer[i].Sum(tensor => tensor.Bytes), KvCache.LayerBytes(model.Layers[i], options, context));
        yield return new Item("output", output.Sum(tensor => tensor.Bytes), 0, shared);
    }

    private static LayerPlacement Place(Item item, DeviceLedger devices, long kvToCome)
    {
        // One row of the embedding is read per token, so host memory holds it as well as a GPU would.
        string? device = item.Name == "input"
            ? devices.TryHost(item.WeightBytes, devices.HasGpus ? 0 : kvToCome) ?? devices.TryGpus(item.WeightBytes)
            : devices.TryGpus(item.WeightBytes + item.KvBytes + item.SharedBytes) ?? devices.TryHostForLayer(item.WeightBytes + item.KvBytes, kvToCome);
        if (device is null)
        {
            string kvDevice = devices.TakeMemory(item.KvBytes);
            devices.Add(DeviceName.Disk, item.WeightBytes, 0);
            devices.Add(kvDevice, 0, item.KvBytes);
            return new(item.Name, DeviceName.Disk, item.WeightBytes, item.KvBytes, kvDevice);
        }
        long weights = item.WeightBytes + (device == DeviceName.Host ? 0 : item.SharedBytes);
        devices.Add(device, weights, item.KvBytes);
        return new(item.Name, device, weights, item.KvBytes, device);
    }
}
