using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>
/// A plan as the engine would carry it out, without a byte of weights or caches: llama.cpp lays out the model, the caches and its largest graph, and says what each
/// device would hold.
/// </summary>
internal static class VirtualLoad
{
    /// <summary>What each device would hold; null where the engine, the plug-in or a device of the plan is not here. What was laid out before is read from the user's cache folder.</summary>
    public static IReadOnlyList<EngineBytes>? Measure(ModelDefinition definition, Plan plan)
    {
        try { EngineLibrary.Load(); }
        catch (EngineException) { return null; }
        definition = definition with { Metadata = Wordless(definition) };
        string? file = LayoutCache.File(GgufWriter.Write(definition.Metadata, definition.Shape.Tensors).Header, plan, EnginePlacement.LayoutsOf(plan, definition.Shape.Tensors).Count > 0);
        if (file is not null && LayoutCache.Find(file) is { } known) return known;
        IReadOnlyList<EngineBytes>? laidOut = LayOut(definition, plan);
        if (file is not null && laidOut is not null) LayoutCache.Keep(file, laidOut);
        return laidOut;
    }

    // llama.cpp has room for a whole batch and for a token of each session, and says what the batch takes. A CPU that leaves batches to a GPU may need more for the tokens.
    private static IReadOnlyList<EngineBytes>? LayOut(ModelDefinition definition, Plan plan)
    {
        IReadOnlyList<EngineBytes>? batch = LayOutBatch(definition, plan);
        bool beside = plan.Computed.Select(layer => layer.ComputeDevice == DeviceName.Host).Distinct().Count() > 1;
        if (batch is null || !beside || plan.BatchSize <= plan.Sessions || LayOutBatch(definition, plan with { BatchSize = plan.Sessions }) is not { } tokens) return batch;
        return [.. batch.Select(device => device with { ComputeBytes = Math.Max(device.ComputeBytes, tokens.FirstOrDefault(one => one.Device == device.Device)?.ComputeBytes ?? 0) })];
    }

    private static IReadOnlyList<EngineBytes>? LayOutBatch(ModelDefinition definition, Plan plan)
    {
        EnginePlacement? placement = null;
        try
        {
            placement = EnginePlacement.Of(plan, definition.Shape.Tensors);
            using NativeLog.Silence silence = NativeLog.Silenced();
            using EngineModel model = EngineModel.LayOut(definition, placement);
            using EngineContext context = EngineContext.Create(model, plan, KvCache.SharesCells(definition.Shape, plan.Sessions), definition.Shape.VocabularySize);
            return EngineBytes.Of(context, placement)?.Select(device => device with { ComputeBytes = Needed(device, placement, definition.Shape, plan) }).ToList();
        }
        catch (EngineException) { return null; }
        finally
        {
            foreach (StreamingDevice device in placement?.Owned ?? []) device.Handle.Dispose();
        }
    }

    // A context that allocates nothing says what the same context takes, but for two things. A wrapped CPU and the CPU itself compute in one buffer, which is counted for each of
    // them; unless a GPU comes first, whose pinned memory the CPU itself then computes in. And where several devices compute, llama.cpp forgets which of them it told to compute a
    // layer's first norm: two more of a batch's vectors than it says may lie on a device that another one comes before, and on each where one of them is the wrapped CPU. Not where
    // it has GPUs compute at once, which it does without overrides: what passes between those is there four times already.
    private static long Needed(EngineBytes device, EnginePlacement placement, ModelShape model, Plan plan)
    {
        bool host = device.Device == DeviceName.Host, streamsToHost = placement.Streams.ContainsKey(DeviceName.Host);
        bool twice = host && (streamsToHost || placement.HostPlace is not null) && plan.EngineLayers.First().ComputeDevice == DeviceName.Host;
        long buffers = device.ComputeBytes - device.LayoutBytes, bytes = twice ? buffers / 2 : buffers;
        int computing = plan.Computed.Where(layer => streamsToHost || layer.ComputeDevice != DeviceName.Host).Select(layer => layer.ComputeDevice).Distinct().Count();
        bool entered = plan.Computed.Zip(plan.Computed.Skip(1)).Any(pair => pair.Second.ComputeDevice == device.Device && pair.First.ComputeDevice != device.Device);
        bool forgets = bytes > 0 && computing > 1 && (streamsToHost || (entered && !host)) && placement.Overrides.Count > 0;
        return device.LayoutBytes + bytes + (forgets ? 2 * Math.Min(plan.BatchSize, (long)plan.Sessions * plan.ContextLength) * model.EmbeddingLength * sizeof(float) : 0);
    }

    // A vocabulary takes longer to read than all the rest, and no graph depends on more than its size.
    private static GgufMetadata Wordless(ModelDefinition definition)
    {
        var metadata = new GgufMetadata();
        foreach ((string key, object value) in definition.Metadata.Where(pair => !pair.Key.StartsWith("tokenizer.", StringComparison.Ordinal))) metadata[key] = value;
        metadata["tokenizer.ggml.model"] = "none";
        metadata[$"{definition.Shape.Architecture}.vocab_size"] = (uint)definition.Shape.VocabularySize;
        return metadata;
    }
}
