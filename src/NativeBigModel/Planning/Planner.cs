using System.Collections.Immutable;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Planning;

/// <summary>Decides where every layer lives. Pure: the same shape, machine and options give the same plan.</summary>
public static class Planner
{
    // Without a GPU the CPU stands for both, to try what a hybrid plan does.
    private const double ShareOfTwoCpus = 0.5;

    // Predictions are not good to less, and whole layers are simpler to look at.
    private const double ClearlyFaster = 0.97;

    /// <summary>
    /// Plans whole layers: the GPUs are filled in order; what they cannot hold goes to host memory and then stays on disk, computed by the CPU or streamed
    /// as <see cref="PlanOptions.Offload"/> says.
    /// </summary>
    /// <param name="model">The model, with its tensors in the types that they will have.</param>
    /// <param name="machine">What there is; its GPUs and RAM are the limits unless <paramref name="options"/> sets others, and its speeds decide what is predicted.</param>
    /// <param name="options">What is asked for.</param>
    /// <exception cref="DoesNotFitException">Not even the parts that must be in memory fit; the message has the cheapest changes that make them.</exception>
    /// <exception cref="InvalidOptionException">The options contradict the model.</exception>
    /// <exception cref="UnsupportedModelException">The context asked for is one that the model has and llama.cpp's graph does not.</exception>
    public static Plan Plan(ModelShape model, Machine machine, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(options);
        var speeds = new SpeedModel(model, machine.Speeds ?? MachineSpeeds.Assumed);
        try
        {
            if (options.Optimize is not { } objective) return Complete(AsAsked(model, machine, options, speeds), model, machine, options, speeds);
            PlanChoice choice = PlanSearch.Best(objective, model, machine, options, speeds);
            return choice.Plan with { Notes = [.. choice.Plan.Notes, choice.Note] };
        }
        catch (DoesNotFitException error) { throw FitAdvice.Of(error, model, machine, options, speeds); }
    }

    /// <summary>Adds what follows from where everything lies: from how many tokens on a batch streams what the CPU has, and each layer's reason.</summary>
    internal static Plan Complete(Plan plan, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        if (options.SharedBatchSize is null && machine.Speeds is { Measured: true } && speeds.SharedBatchSize(plan) is var tokens && tokens != plan.SharedBatchSize)
        {
            plan = plan with { SharedBatchSize = tokens };
            plan = plan with { Predicted = speeds.Predict(plan) };
        }
        return PlacementReasons.Explain(plan, model, options, speeds);
    }

    /// <summary>Plans what the options say, and predicts its speed; gives no reasons.</summary>
    /// <inheritdoc cref="Plan"/>
    internal static Plan AsAsked(ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        Plan plan = Place(model, machine, options, speeds);
        return plan with { Predicted = speeds.Predict(plan) };
    }

    /// <summary>Plans what the options say, with neither a prediction nor reasons.</summary>
    /// <inheritdoc cref="Plan"/>
    internal static Plan Place(ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        int context = ContextLength(model, options);
        // An encoder computes a text whole, as no token may wait for a later one.
        if (model.Kind != ModelKind.Decoder && options.Sessions > 1) throw new InvalidOptionException($"{options.Sessions} sessions: a model with an encoder computes one text at a time");
        if (model.Kind != ModelKind.Decoder) options = options with { BatchSize = options.BatchSize ?? context };
        MemoryLimits limits = options.MaxMemory ?? MemoryLimits.Of(machine);
        int batch = options.BatchSize ?? PlanOptions.DefaultBatchSize, streamedBatch = options.BatchSize ?? PlanOptions.StreamingBatchSize;
        List<Item> items = [.. Items(model, options, context, batch)], streamedItems = [.. Items(model, options, context, streamedBatch)];
        ComputeBuffers compute = new(model, options, context, batch), streamedCompute = new(model, options, context, streamedBatch);
        // Hybrid needs two that compute: with the CPU alone it is tried, like streaming, on every layer, and is plain CPU offload within limits.
        OffloadMode mode = options.Offload == OffloadMode.Hybrid && limits.Gpus.IsEmpty && options.MaxMemory is not null ? OffloadMode.Cpu : options.Offload;
        bool streamAll = options.MaxMemory is null && (mode is OffloadMode.Stream or OffloadMode.Disk || (mode == OffloadMode.Hybrid && limits.Gpus.IsEmpty));

        double ringLayers = options.RingLayers ?? RingSize.Usual;
        if (options.DeviceMap is { } map)
        {
            if (options.Offload == OffloadMode.Hybrid) throw new InvalidOptionException("device map: it says where whole layers are, and hybrid placement splits them; leave one of the two out");
            MappedPlacement mapped = DeviceMapPlanner.Place(map, new(model, limits, options.MaxMemory is not null, options.Offload, items, streamedItems, compute, streamedCompute, ringLayers));
            return ToPlan(model, machine, options, context, mapped.Layers, mapped.Devices, streamedItems) with { Notes = mapped.Notes };
        }
        if (options.HostFirst && Placement.HostFirst(limits, compute, items) is { } hostFirst) return ToPlan(model, machine, options, context, [.. hostFirst.Layers], hostFirst.Devices, items);
        // A ring takes room that layers could have, so it is there only if some layer must stream.
        if (Placement.Resident(limits, compute, mode, streamAll, items) is { } resident) return ToPlan(model, machine, options, context, [.. resident.Layers], resident.Devices, items);
        Plan Split(double cpuShare)
        {
            List<Item> parts = Parts(model, streamedItems);
            Plan InOrder(NetworkOrder order)
            {
                (List<LayerPlacement> layers, ImmutableArray<DevicePlan> devices) = SplitPlacement.Place(limits, streamedCompute, streamAll, parts, cpuShare, order, ringLayers, speeds.LinkSpeed);
                return ToPlan(model, machine, options, context, [.. layers], devices, parts);
            }
            Plan forPrompts = InOrder(NetworkOrder.StreamedFirst);
            return cpuShare is > 0 and < 1 ? Faster(forPrompts, () => InOrder(NetworkOrder.Even)) : forPrompts;
        }
        Plan Whole()
        {
            Placement streaming = Placement.Streaming(limits, streamedCompute, mode, streamAll, ringLayers, streamedItems);
            return ToPlan(model, machine, options, context, [.. streaming.Layers], streaming.Devices, streamedItems);
        }
        if (mode == OffloadMode.Hybrid) return Hybrid(model, machine, limits, options, speeds, Split);
        Plan streamed = (mode == OffloadMode.Stream ? limits.Gpus.Count : 0) switch { 0 => Whole(), 1 => Faster(Whole(), () => Split(0)), _ => Split(0) };
        if (mode != OffloadMode.Stream || streamAll || options.LinkedExperts == 0 || !LinkedExperts.MayBeChosen(model, machine, limits)) return streamed;
        // A token's own experts come in place of all that a layer has.
        return Faster(streamed, () => Link(Split(1), model, machine, options, model.ExpertUsedCount));

        // The other where it fits and its tokens are clearly faster.
        Plan Faster(Plan one, Func<Plan> place)
        {
            try
            {
                Plan other = place();
                return speeds.TokenSeconds(other) < speeds.TokenSeconds(one) * ClearlyFaster ? other : one;
            }
            catch (DoesNotFitException) { return one; }
        }
    }

    private static Plan Hybrid(ModelShape model, Machine machine, MemoryLimits limits, PlanOptions options, SpeedModel speeds, Func<double, Plan> split)
    {
        // Experts that link and CPU divide do not come through a ring for a token.
        if (options.LinkedExperts is > 0 and { } asked) return Link(split(options.CpuShare ?? 1), model, machine, options, asked);
        Plan undivided = split(CpuShare(limits, options, speeds));
        if (options.LinkedExperts == 0 || !LinkedExperts.MayBeChosen(model, machine, limits)) return undivided;
        Plan shared = options.CpuShare is null ? split(1) : undivided;
        return Enumerable.Range(1, model.ExpertUsedCount).Select(linked => Link(shared, model, machine, options, linked)).Prepend(undivided).MinBy(speeds.TokenSeconds)!;
    }

    // What can be divided is; the CPU then works beside a link.
    private static Plan Link(Plan plan, ModelShape model, Machine machine, PlanOptions options, int linked) =>
        LinkedExperts.Divisible(plan, model).Count == 0 ? plan : plan with { LinkedExperts = linked, Threads = options.Threads ?? ThreadChoice.Of(machine, streams: true) };

    private static Plan ToPlan(ModelShape model, Machine machine, PlanOptions options, int context, ImmutableArray<LayerPlacement> layers, ImmutableArray<DevicePlan> devices, List<Item> items)
    {
        double ringLayers = options.RingLayers ?? RingSize.Usual;
        if (options.RingLayers is null && devices.Any(device => device.RingBytes > 0))
        {
            // All rings are as long as the shortest can be.
            ringLayers = devices.Where(device => device.RingBytes > 0).Min(device => device.LimitBytes is { } limit ? RingSize.Stretched(device.Name, ringLayers, limit - device.TotalBytes, layers, items) : ringLayers);
            devices = [.. devices.Select(device => device.RingBytes > 0 ? device with { RingBytes = RingSize.Of(device.Name, ringLayers, layers, items) } : device)];
        }
        bool streams = layers.Any(layer => layer.Streamed || layer.IsFeedForward);
        return new Plan
        {
            Model = model.Name,
            WeightType = options.WeightType,
            ContextLength = context,
            Sessions = options.Sessions,
            KvType = options.KvType,
            FlashAttention = options.FlashAttention,
            BatchSize = options.BatchSize ?? (streams ? PlanOptions.StreamingBatchSize : PlanOptions.DefaultBatchSize),
            Layers = layers,
            Devices = devices,
            WeightBytes = model.WeightBytes,
            RingLayers = streams ? ringLayers : 0,
            SharedBatchSize = options.SharedBatchSize ?? PlanOptions.UsualSharedBatchSize,
            OffloadFolder = options.OffloadFolder,
            Threads = options.Threads ?? ThreadChoice.Of(machine, layers.Any(layer => layer.Streamed)),
            ComputeMeasured = options.ComputeBytes is not null,
        };
    }

    private static double CpuShare(MemoryLimits limits, PlanOptions options, SpeedModel speeds) =>
        options.CpuShare ?? (limits.Gpus.IsEmpty ? ShareOfTwoCpus : speeds.BalancedCpuShare([.. limits.Gpus.Keys]));

    private static int ContextLength(ModelShape model, PlanOptions options)
    {
        if (!KvCache.Types.Contains(options.KvType)) throw new InvalidOptionException($"KV type {options.KvType}: a cache may be {string.Join(", ", KvCache.Types)}");
        if (options.KvType.IsQuantized() && !options.FlashAttention) throw new InvalidOptionException($"KV type {options.KvType} needs flash attention");
        foreach (LayerShape layer in model.Layers)
        {
            if (layer.KvHeadCount > 0 && layer.KeyLength % options.KvType.BlockSize() != 0)
                throw new InvalidOptionException($"KV type {options.KvType}: packs {options.KvType.BlockSize()} elements together, and this model's heads have {layer.KeyLength}");
        }
        if (options.BatchSize is < 1) throw new InvalidOptionException($"batch size {options.BatchSize}: at least 1 token is computed at a time");
        if (options.Sessions is < 1 or > PlanOptions.MaxSessions) throw new InvalidOptionException($"{options.Sessions} sessions: there may be 1 to {PlanOptions.MaxSessions}");
        if (options.RingLayers is not (null or (>= 1 and <= PlanOptions.MaxRingLayers))) throw new InvalidOptionException($"ring of {options.RingLayers} layers: it may have 1 to {PlanOptions.MaxRingLayers}");
        if (options.CpuShare is not (null or (>= 0 and <= 1))) throw new InvalidOptionException($"CPU share {options.CpuShare}: it is between 0 and 1");
        if (options.LinkedExperts is { } linked) LinkedExperts.Require(model, linked);
        if (options.SharedBatchSize is < 2) throw new InvalidOptionException($"shared batch size {options.SharedBatchSize}: a batch has at least 2 tokens");
        if (options.Threads is < 1 or > PlanOptions.MaxThreads) throw new InvalidOptionException($"{options.Threads} threads: there may be 1 to {PlanOptions.MaxThreads}");
        if (options.ContextLength is not { } asked) return Math.Min(Math.Min(model.ContextLength, model.UsualContextLength ?? int.MaxValue), PlanOptions.DefaultContextLength);
        if (asked > model.ContextLength && model.ContextCap is { } cap) throw new UnsupportedModelException($"context {asked}: {cap}");
        if (asked < 1 || asked > model.ContextLength) throw new InvalidOptionException($"context {asked}: this model is defined for 1 to {model.ContextLength} tokens");
        return asked;
    }

    /// <summary>Input, layers and output of a model, for options that name context and batch.</summary>
    /// <exception cref="InvalidOptionException">The options contradict the model.</exception>
    internal static List<Item> Items(ModelShape model, PlanOptions options) => [.. Items(model, options, ContextLength(model, options), options.BatchSize!.Value)];

    private static IEnumerable<Item> Items(ModelShape model, PlanOptions options, int context, int batch)
    {
        bool shares = KvCache.SharesCells(model, options.Sessions);
        foreach ((Item item, int i) in ItemBytes.Of(model).Whole.Select((item, i) => (item, i - 1)))
            yield return i < 0 || i == model.Layers.Length || model.Kind == ModelKind.Encoder ? item : item with { KvBytes = KvCache.LayerBytes(model.Layers[i], options.KvType, context, batch, options.Sessions, shares) };
    }

    /// <summary>The same items with each layer as two: the layer without its feed-forward part, and that part.</summary>
    internal static List<Item> Parts(ModelShape model, List<Item> items) => [items[0], .. LayerParts(model, items), items[^1]];

    private static IEnumerable<Item> LayerParts(ModelShape model, List<Item> items)
    {
        foreach ((Item rest, Item? part) in ItemBytes.Of(model).Parts.Zip(items.Skip(1), (parts, layer) => (parts.Layer with { KvBytes = layer.KvBytes }, parts.FeedForward)))
        {
            yield return rest;
            if (part is not null) yield return part;
        }
    }
}
