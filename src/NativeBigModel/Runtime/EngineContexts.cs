using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>What contexts that generate and contexts that encode have in common.</summary>
internal static class EngineContexts
{
    /// <summary>The parameters that a plan sets whatever is computed: cache types, attention, threads.</summary>
    public static LlamaContextParams Parameters(Plan plan)
    {
        LlamaContextParams parameters = LlamaContextApi.LlamaContextDefaultParams();
        parameters.TypeK = plan.KvType;
        parameters.TypeV = plan.KvType;
        parameters.FlashAttnType = !plan.FlashAttention ? LlamaFlashAttnType.Disabled : SharesAttention(plan) ? LlamaFlashAttnType.Enabled : LlamaFlashAttnType.Auto;
        parameters.SwaFull = 0;
        parameters.NoPerf = 1;
        parameters.NThreads = plan.Threads ?? ThreadChoice.Of(ProcessorCores.Usable, plan.Streams || plan.LinkedExperts > 0);
        parameters.NThreadsBatch = parameters.NThreads;
        return parameters;
    }

    // Left to itself llama.cpp takes the kernel where every layer's own device computes it. Layers that the CPU computes beside a GPU are on a device that computes nothing
    // (EnginePlacement), for which it would do without on the GPUs too.
    private static bool SharesAttention(Plan plan)
    {
        string[] devices = [.. plan.EngineLayers.Where(layer => layer.Number is not null).Select(layer => layer.ComputeDevice).Distinct()];
        return devices.Length > 1 && devices.Contains(DeviceName.Host);
    }

    /// <summary>Makes a context, and the flag that ends its passes; dispose of that after the context.</summary>
    /// <exception cref="EngineException">There is not the memory.</exception>
    public static (LlamaContextHandle Handle, AbortFlag Abort) Create(EngineModel model, LlamaContextParams parameters)
    {
        var abort = new AbortFlag();
        abort.Watch(ref parameters);
        long since = NativeLog.Count;
        LlamaContextHandle handle = LlamaContextHandle.Create(model.Handle, parameters);
        if (!handle.IsInvalid) return (handle, abort);
        abort.Dispose();
        throw new EngineException($"llama.cpp could not make a context of {parameters.NCtx} tokens: {NativeLog.ErrorText(since)}");
    }

    /// <summary>What failed, and why. A layer that could not be streamed is the cause; what llama.cpp says of the failed graph is not.</summary>
    public static EngineException Failure(string what, EngineModel model, long since)
    {
        string[] reasons = [.. model.Streams.Values.Select(device => device.TakeError()).Where(reason => reason.Length > 0)];
        return new($"{what}: {(reasons.Length > 0 ? string.Join("; ", reasons) : NativeLog.ErrorText(since))}");
    }
}
