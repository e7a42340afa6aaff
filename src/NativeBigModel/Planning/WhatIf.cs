namespace NativeBigModel.Planning;

/// <summary>What one change of a plan's options would do.</summary>
/// <param name="Change">The change, in a few words.</param>
/// <param name="Plan">The plan with it, or null where it does not fit or cannot be.</param>
public sealed record WhatIf(string Change, Plan? Plan)
{
    private const string ForTokens = "--optimize decode";

    // A tenth is worth knowing of.
    private const double Clearly = 0.9;

    private static readonly WeightType[] s_types = [WeightType.Q8_0, WeightType.Q4_K_M];

    /// <summary>Plans again with a GiB more on the last GPU and in RAM, a smaller KV cache, half the context, other types of weights and other placements.</summary>
    /// <param name="describe">The model with its weights in a type, as <see cref="Checkpoint.Describe"/>.</param>
    /// <param name="machine">What there is.</param>
    /// <param name="options">What was planned.</param>
    public static IReadOnlyList<WhatIf> Alternatives(Func<WeightType, ModelShape> describe, Machine machine, PlanOptions options)
    {
        ArgumentNullException.ThrowIfNull(describe);
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(options);
        PlanOptions estimated = options with { ComputeBytes = null };
        ModelShape model = describe(options.WeightType);
        return [.. Changes(estimated, machine, model).Select(change => new WhatIf(change.Name, Try(change.Options.WeightType == options.WeightType ? model : Describe(describe, change.Options.WeightType), machine, change.Options)))
            .Where(alternative => alternative.Plan is null || alternative.Plan.WeightBytes <= model.WeightBytes)];
    }

    /// <summary>What <see cref="Objective.Decode"/> would choose in the place of a plan, where its tokens are clearly faster; null where they are not, or nothing was left to choose.</summary>
    /// <param name="model">The model, with its tensors in the types that they will have.</param>
    /// <param name="machine">What there is.</param>
    /// <param name="options">What was planned.</param>
    /// <param name="plan">The plan.</param>
    public static WhatIf? Optimized(ModelShape model, Machine machine, PlanOptions options, Plan plan)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(plan);
        bool chosen = options.Optimize is not null || options.DeviceMap is not null, whole = plan.Computed.All(layer => !layer.Streamed && layer.ComputeDevice != DeviceName.Host);
        if (chosen || whole || (options.MaxMemory ?? MemoryLimits.Of(machine)).Gpus.IsEmpty) return null;
        WhatIf best = new(ForTokens, Try(model, machine, Optimizing(options with { ComputeBytes = null })));
        return best.Plan?.Predicted is { } other && plan.Predicted is { } own && other.DecodeSeconds < own.DecodeSeconds * Clearly ? best : null;
    }

    private static IEnumerable<(string Name, PlanOptions Options)> Changes(PlanOptions options, Machine machine, ModelShape model)
    {
        const long more = 1L << 30;
        MemoryLimits limits = options.MaxMemory ?? MemoryLimits.Of(machine);
        if (!limits.Gpus.IsEmpty) yield return ($"1 GiB more on GPU {limits.Gpus.Keys.Last()}", options with { MaxMemory = limits.Raised(DeviceName.Gpu(limits.Gpus.Keys.Last()), more) });
        if (limits.Host is not null) yield return ("1 GiB more RAM", options with { MaxMemory = limits.Raised(DeviceName.Host, more) });
        if (options.KvType is TensorType.F16 or TensorType.BF16 or TensorType.F32 && options.FlashAttention) yield return ("KV cache in Q8_0", options with { KvType = TensorType.Q8_0 });
        int context = options.ContextLength ?? Math.Min(model.ContextLength, PlanOptions.DefaultContextLength);
        if (context >= 512) yield return ($"context of {context / 2}", options with { ContextLength = context / 2 });
        foreach (WeightType type in s_types.Where(type => type != options.WeightType)) yield return ($"weights in {type}", options with { WeightType = type });
        if (limits.Gpus.IsEmpty || options.DeviceMap is not null) yield break;
        if (options.Optimize is null) yield return (ForTokens, Optimizing(options));
        foreach (OffloadMode mode in (OffloadMode[])[OffloadMode.Cpu, OffloadMode.Stream, OffloadMode.Hybrid])
        {
            if (options.Optimize is not null || mode != options.Offload) yield return ($"--offload {mode.ToString().ToLowerInvariant()}", options with { Offload = mode, Optimize = null, CpuShare = null, MaxMemory = limits });
        }
    }

    private static PlanOptions Optimizing(PlanOptions options) => options with { Optimize = Objective.Decode, CpuShare = null };

    private static ModelShape? Describe(Func<WeightType, ModelShape> describe, WeightType type)
    {
        try { return describe(type); }
        catch (BigModelException) { return null; }
    }

    private static Plan? Try(ModelShape? model, Machine machine, PlanOptions options)
    {
        try { return model is null ? null : Planner.Plan(model, machine, options); }
        catch (BigModelException) { return null; }
    }
}
