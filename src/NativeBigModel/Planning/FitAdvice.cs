using System.Collections.Immutable;
using System.Globalization;

namespace NativeBigModel.Planning;

/// <summary>What makes a plan fit that does not: changes that were planned and found to, those that cost the least first.</summary>
internal static class FitAdvice
{
    private const int Named = 2;
    private const double ShortRing = 1.1;
    private const int SmallestContext = 256;
    private const int MaxDoublings = 24;

    public static DoesNotFitException Of(DoesNotFitException error, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        string ways = Text(error, model, machine, options, speeds);
        return ways.Length == 0 ? error : new(error.Device, error.NeededBytes, error.LimitBytes, ways);
    }

    /// <summary>The same for a plan that a machine has not the memory for now: within what is free, and within the plan's own limits. Empty where nothing was found.</summary>
    public static string Ways(Plan plan, ModelShape model, Machine machine, DoesNotFitException error)
    {
        long Free(DevicePlan device) => Math.Min(device.LimitBytes ?? long.MaxValue, DeviceName.GpuIndex(device.Name) is { } gpu ? (gpu < machine.Gpus.Length ? machine.Gpus[gpu].FreeBytes : 0) : machine.HostFreeBytes);
        var limits = new MemoryLimits
        {
            Gpus = plan.Devices.Where(device => DeviceName.GpuIndex(device.Name) is not null).ToImmutableSortedDictionary(device => DeviceName.GpuIndex(device.Name)!.Value, Free),
            Host = plan.Devices.FirstOrDefault(device => device.Name == DeviceName.Host) is { } host ? Free(host) : null,
        };
        var options = new PlanOptions
        {
            WeightType = plan.WeightType, ContextLength = plan.ContextLength, Sessions = plan.Sessions, KvType = plan.KvType, FlashAttention = plan.FlashAttention, BatchSize = plan.BatchSize,
            RingLayers = plan.RingLayers > 0 ? plan.RingLayers : null, OffloadFolder = plan.OffloadFolder, Threads = plan.Threads, MaxMemory = limits,
            Offload = plan.SplitsLayers ? OffloadMode.Hybrid : plan.Streams ? OffloadMode.Stream : OffloadMode.Cpu,
        };
        var speeds = new SpeedModel(model, machine.Speeds ?? MachineSpeeds.Assumed);
        return Fits(options, model, machine, speeds)
            ? $"it fits with a plan made anew for what is free, or with {ByteSize.Format(error.NeededBytes - error.LimitBytes)} more on {DeviceName.Label(error.Device)}"
            : Text(error, model, machine, options, speeds);
    }

    private static string Text(DoesNotFitException error, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        string[] ways = [.. Ways(error, model, machine, options, speeds).Where(way => Fits(way.Options, model, machine, speeds)).Select(way => way.Text).Take(Named)];
        return ways.Length == 0 ? "" : $"it fits with {string.Join(", or with ", ways)}";
    }

    private static bool Fits(PlanOptions options, ModelShape model, Machine machine, SpeedModel speeds)
    {
        try { return Planner.Place(model, machine, options, speeds) is not null; }
        catch (BigModelException) { return false; }
    }

    private static IEnumerable<(string Text, PlanOptions Options)> Ways(DoesNotFitException error, ModelShape model, Machine machine, PlanOptions options, SpeedModel speeds)
    {
        if (options.RingLayers is null or > ShortRing) yield return (string.Create(CultureInfo.InvariantCulture, $"a ring of {ShortRing} layers"), options with { RingLayers = ShortRing });
        if (options.BatchSize is null or > 128) yield return ("batches of 128 tokens", options with { BatchSize = 128 });
        if (options.KvType is TensorType.F16 or TensorType.BF16 or TensorType.F32 && options.FlashAttention) yield return ("a KV cache in Q8_0", options with { KvType = TensorType.Q8_0 });
        // One of the shorter contexts is named: the longest that fits.
        bool contextFits = false;
        int asked = options.ContextLength ?? Math.Min(model.ContextLength, PlanOptions.DefaultContextLength);
        for (int context = asked / 2; context >= SmallestContext && !contextFits; context /= 2)
        {
            contextFits = Fits(options with { ContextLength = context }, model, machine, speeds);
            if (contextFits) yield return ($"a context of {context} tokens", options with { ContextLength = context });
        }
        MemoryLimits limits = options.MaxMemory ?? MemoryLimits.Of(machine);
        long more = Math.Max(1, error.NeededBytes - error.LimitBytes);
        for (int doubling = 0; doubling < MaxDoublings && more < long.MaxValue / 4; doubling++, more *= 2)
        {
            PlanOptions larger = options with { MaxMemory = limits.Raised(error.Device, more) };
            if (!Fits(larger, model, machine, speeds)) continue;
            yield return ($"{ByteSize.Format(more)} more on {DeviceName.Label(error.Device)}", larger);
            yield break;
        }
    }
}
