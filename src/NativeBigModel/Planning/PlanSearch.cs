using System.Collections.Immutable;
using System.Globalization;
using System.Runtime.ExceptionServices;

namespace NativeBigModel.Planning;

/// <summary>What was chosen.</summary>
/// <param name="Options">Options that give the plan by themselves.</param>
/// <param name="Plan">The plan.</param>
/// <param name="Note">Why it, in one sentence.</param>
internal sealed record PlanChoice(PlanOptions Options, Plan Plan, string Note);

/// <summary>Chooses a placement by its predicted speed: every way of placing layers is planned, then ring and batch around the best of them.</summary>
internal static class PlanSearch
{
    private const double MemoryTolerance = 1.1;

    // Predictions are not good to less: what is this near to the best is as good, and the second thing that matters decides.
    private const double AsGood = 1.02;

    private static readonly double[] s_memoryShares = [1, 0.75, 0.5, 0.25];

    /// <summary>
    /// The best plan for the objective, or one within 2 % of it that is better otherwise; by its own prediction no fixed <see cref="PlanOptions.Offload"/> within the same limits
    /// gives a better one than that.
    /// </summary>
    /// <exception cref="DoesNotFitException">None fits.</exception>
    public static PlanChoice Best(Objective objective, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        if (options.DeviceMap is not null) throw new InvalidOptionException("device map: it says where layers are, and optimizing chooses that; leave one of the two out");
        PlanOptions asked = options with { Optimize = null, MaxMemory = options.MaxMemory ?? MemoryLimits.Of(machine) };
        List<(PlanOptions Options, Plan Plan)> found = [];
        DoesNotFitException? refusal = null;
        void Try(IEnumerable<PlanOptions> candidates)
        {
            foreach ((PlanOptions candidate, Plan? plan, BigModelException? error) in candidates.AsParallel().AsOrdered().Select(candidate => Planned(model, machine, candidate, speeds)))
            {
                if (plan is not null) found.Add((candidate, plan));
                else if (error is DoesNotFitException unfit) refusal ??= unfit;
                else ExceptionDispatchInfo.Throw(error!);
            }
        }
        Try(Placements(asked, objective, model, speeds));
        if (found.Count == 0) throw refusal!;
        foreach ((PlanOptions resident, Plan plan) in found.Where(one => one.Options.MaxMemory!.Gpus.Count > 1 && one.Plan.RingLayers == 0).DistinctBy(one => (one.Options.MaxMemory, one.Options.HostFirst)).ToArray())
            Try(Leanings(resident.MaxMemory!, plan, speeds).Select(limits => resident with { MaxMemory = limits }));
        (PlanOptions chosen, Plan best) = Choose(objective, found);
        if (best.RingLayers > 0)
        {
            Try(Refinements(chosen, options));
            (chosen, best) = Choose(objective, found);
        }
        return new(chosen, Planner.Complete(best, model, machine, chosen, speeds), $"chosen for {Name(objective)} among {found.Count} plans: {Describe(chosen, best, model)}");
    }

    private static (PlanOptions Options, Plan? Plan, BigModelException? Error) Planned(ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        try { return (options, Planner.AsAsked(model, machine, options, speeds), null); }
        catch (BigModelException error) { return (options, null, error); }
    }

    private static IEnumerable<PlanOptions> Placements(PlanOptions asked, Objective objective, ModelShape model, SpeedModel speeds)
    {
        foreach (MemoryLimits limits in objective == Objective.Memory ? s_memoryShares.Select(share => Scale(asked.MaxMemory!, share)) : [asked.MaxMemory!])
        {
            PlanOptions within = asked with { MaxMemory = limits };
            yield return within with { Offload = OffloadMode.Cpu };
            if (limits.Gpus.IsEmpty) continue;
            yield return within with { Offload = OffloadMode.Cpu, HostFirst = true };
            yield return within with { Offload = OffloadMode.Stream };
            foreach (double share in Shares(speeds.BalancedCpuShare([.. limits.Gpus.Keys]))) yield return within with { Offload = OffloadMode.Hybrid, CpuShare = share };
            // Several links that wait for one disk bring no more than one, and their rings take room.
            if (limits.Gpus.Count > 1) yield return within with { Offload = OffloadMode.Disk };
            // A slow GPU, or a slow link, may cost more than it brings.
            foreach ((int gpu, long bytes) in limits.Gpus.Where(_ => limits.Gpus.Count > 1))
            {
                PlanOptions alone = asked with { MaxMemory = limits with { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(gpu, bytes) } };
                yield return alone with { Offload = OffloadMode.Cpu };
                yield return alone with { Offload = OffloadMode.Stream };
                yield return alone with { Offload = OffloadMode.Hybrid, CpuShare = speeds.BalancedCpuShare([gpu]) };
                // What a link and the CPU divide of each token's experts.
                if (model.ExpertCount > 0) yield return alone with { Offload = OffloadMode.Hybrid, CpuShare = 1 };
            }
        }
        if (asked.MaxMemory is { Host: not null, Gpus.IsEmpty: false }) yield return asked with { MaxMemory = asked.MaxMemory with { Gpus = ImmutableSortedDictionary<int, long>.Empty }, Offload = OffloadMode.Cpu };
    }

    private static IEnumerable<MemoryLimits> Leanings(MemoryLimits limits, Plan resident, SpeedModel speeds)
    {
        foreach ((int spareLayers, bool wholeLayers) in ((int, bool)[])[(0, true), (1, true), (0, false)]) yield return FastestFirst(limits, resident, speeds, spareLayers, wholeLayers);
        if (OutputOnTheNext(limits, resident) is { } next) yield return next;
    }

    // Each layer takes the time of the GPU that it is on: the faster ones hold as much as they can, and the others what is left, with so many layers to spare. They hold whole layers,
    // or all of their memory, where the output is beside the layers.
    private static MemoryLimits FastestFirst(MemoryLimits limits, Plan resident, SpeedModel speeds, int spareLayers, bool wholeLayers)
    {
        DevicePlan[] gpus = [.. resident.Devices.Where(device => DeviceName.GpuIndex(device.Name) is not null).OrderByDescending(device => speeds.ReadSpeed(DeviceName.GpuIndex(device.Name)!.Value))];
        long left = gpus.Sum(device => device.WeightBytes + device.KvBytes), layer = resident.Computed.Max(layer => layer.WeightBytes + layer.KvBytes), compute = gpus.Max(device => device.ComputeBytes);
        ImmutableSortedDictionary<int, long> leaning = limits.Gpus;
        foreach (DevicePlan gpu in gpus)
        {
            long most = Math.Min(gpu.LimitBytes!.Value, (left + layer - 1) / layer * layer + compute + spareLayers * layer);
            leaning = leaning.SetItem(DeviceName.GpuIndex(gpu.Name)!.Value, most);
            long held = Math.Max(0, most - compute - spareLayers * layer);
            left = Math.Max(0, left - (wholeLayers ? held / layer * layer : held));
        }
        return limits with { Gpus = leaning };
    }

    // The last GPU that computes is also the one that helps the CPU with prompts, over its link. Null where that is the last of all.
    private static MemoryLimits? OutputOnTheNext(MemoryLimits limits, Plan resident)
    {
        LayerPlacement output = resident.Layers[^1];
        if (DeviceName.GpuIndex(output.ComputeDevice) is not { } gpu || gpu == limits.Gpus.Keys.Last()) return null;
        return limits with { Gpus = limits.Gpus.SetItem(gpu, resident.Devices.First(device => device.Name == output.ComputeDevice).TotalBytes - output.WeightBytes) };
    }

    // What one layer more or less does to the balance is smaller than the steps between these.
    private static IEnumerable<double> Shares(double balanced) => ((double[])[balanced, balanced - 0.1, balanced - 0.05, balanced + 0.05, balanced + 0.1, 0.25, 0.5, 0.75, 1]).Where(share => share is > 0 and <= 1).Distinct();

    private static IEnumerable<PlanOptions> Refinements(PlanOptions best, PlanOptions asked)
    {
        int[] batches = asked.BatchSize is { } given ? [given] : [PlanOptions.DefaultBatchSize, PlanOptions.StreamingBatchSize];
        // Two of three matrices of the same size need a third of a layer more than one.
        return from ring in (double[])[1.1, 1.25, 1.34, 1.5, 2, 3] from batch in batches select best with { RingLayers = ring, BatchSize = batch };
    }

    /// <summary>Whether the one plan is better for the objective than the other, both being predicted.</summary>
    public static bool Prefers(Objective objective, Plan one, Plan other) => ReferenceEquals(Choose(objective, [(new(), other), (new(), one)]).Plan, one);

    private static (PlanOptions Options, Plan Plan) Choose(Objective objective, List<(PlanOptions Options, Plan Plan)> found)
    {
        static double Decode((PlanOptions, Plan Plan) candidate) => candidate.Plan.Predicted!.DecodeSeconds;
        static double Prefill((PlanOptions, Plan Plan) candidate) => candidate.Plan.Predicted!.PrefillSeconds;
        static double Both((PlanOptions, Plan Plan) candidate) => Prefill(candidate) + Decode(candidate) * candidate.Plan.Predicted!.PromptTokens / 4;
        static double OnGpus((PlanOptions, Plan Plan) candidate) => candidate.Plan.Devices.Where(device => DeviceName.GpuIndex(device.Name) is not null).Sum(device => device.TotalBytes);
        static double OnHost((PlanOptions, Plan Plan) candidate) => candidate.Plan.Devices.Where(device => device.Name == DeviceName.Host).Sum(device => device.TotalBytes);
        return objective switch
        {
            Objective.Decode => Best(found, Decode, Prefill),
            Objective.Prefill => Best(found, Prefill, Decode),
            Objective.Balanced => Best(found, Both, Decode),
            _ => Best(Near(Near(found, Decode, MemoryTolerance), OnGpus, AsGood), OnHost, Decode),
        };
    }

    private static T Best<T>(List<T> found, Func<T, double> first, Func<T, double> second) => Near(found, first, AsGood).OrderBy(second).ThenBy(first).First();

    private static List<T> Near<T>(List<T> found, Func<T, double> cost, double factor)
    {
        double enough = found.Min(cost) * factor;
        return [.. found.Where(candidate => cost(candidate) <= enough)];
    }

    private static MemoryLimits Scale(MemoryLimits limits, double share) => limits with { Gpus = limits.Gpus.ToImmutableSortedDictionary(gpu => gpu.Key, gpu => (long)(gpu.Value * share)) };

    private static string Name(Objective objective) => objective.ToString().ToLowerInvariant();

    private static string Describe(PlanOptions options, Plan plan, ModelShape model)
    {
        string mode = plan.RingLayers == 0 ? "nothing is streamed" : options.Offload switch
        {
            OffloadMode.Hybrid => string.Create(CultureInfo.InvariantCulture, $"hybrid, {options.CpuShare:0.00} of what is beyond the GPUs for the CPU{(plan.LinkedExperts > 0 ? $", {plan.LinkedExperts} of a token's {model.ExpertUsedCount} experts there over the link" : "")}"),
            OffloadMode.Cpu => "the CPU computes what is beyond the GPUs",
            _ => "what is beyond the GPUs is streamed",
        };
        return plan.RingLayers == 0 ? mode : string.Create(CultureInfo.InvariantCulture, $"{mode}, a ring of {plan.RingLayers:0.##} layers, batches of {plan.BatchSize}");
    }
}
