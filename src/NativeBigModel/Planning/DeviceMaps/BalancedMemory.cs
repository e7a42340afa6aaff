using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>Limits that spread a model evenly over the GPUs (accelerate's get_balanced_memory).</summary>
internal static class BalancedMemory
{
    // accelerate's only reserve: one GPU for which no limit was given.
    private const double ShareOfOnlyGpu = 0.9;
    private const double Headroom = 1.25;

    /// <param name="tree">The model.</param>
    /// <param name="sizes">Its sizes.</param>
    /// <param name="limits">What each device may hold at most.</param>
    /// <param name="given">Whether somebody chose the limits, rather than their being what is free.</param>
    /// <param name="whole">Classes that are not divided.</param>
    /// <param name="lowZero">Whether GPU 0 holds only what the others cannot.</param>
    /// <exception cref="InvalidOptionException">GPU 0 is to be spared and is not there.</exception>
    public static MemoryLimits Of(ModuleTree tree, ModuleSizes sizes, MemoryLimits limits, bool given, IReadOnlySet<string> whole, bool lowZero)
    {
        int[] used = [.. limits.Gpus.Where(gpu => gpu.Value > 0).Select(gpu => gpu.Key)];
        ImmutableSortedDictionary<int, long> caps = limits.Gpus;
        if (used.Length == 0) return limits;
        if (used.Length == 1)
        {
            int first = caps.Keys.First();
            return given ? limits : limits with { Gpus = caps.SetItem(first, (long)(caps[first] * ShareOfOnlyGpu)) };
        }
        if (lowZero && !caps.ContainsKey(0)) throw new InvalidOptionException($"device map balanced_low_0: spares GPU 0, and the limits name GPUs {string.Join(", ", caps.Keys)}");
        long share = sizes[""] / (lowZero ? used.Length - 1 : used.Length)
            + (long)(Headroom * Math.Max(LargestOf(whole, tree, sizes), MeanOfInnermost(sizes)));
        foreach (int gpu in used[..^1])
        {
            if (!lowZero || gpu != 0) caps = caps.SetItem(gpu, Math.Min(share, caps[gpu]));
        }
        if (lowZero) caps = caps.SetItem(0, Math.Min(caps[0], Math.Max(0, sizes[""] - OthersOf(caps, used.Length))));
        return limits with { Gpus = caps };
    }

    // accelerate takes as many GPUs as have room from number 1 on, whether they are those or not, and fails where one of these is not there.
    private static long OthersOf(ImmutableSortedDictionary<int, long> caps, int used)
    {
        int[] counted = [.. Enumerable.Range(1, used - 1)];
        return (counted.All(caps.ContainsKey) ? counted : caps.Keys.Where(gpu => gpu != 0)).Sum(gpu => caps[gpu]);
    }

    // Of each class that is not divided, the first one in the table of sizes speaks for all: those with parameters of their own are before those with nothing but buffers.
    private static long LargestOf(IReadOnlySet<string> whole, ModuleTree tree, ModuleSizes sizes)
    {
        Dictionary<string, string> classes = tree.Modules.Where(one => one.Path.Length > 0 && whole.Contains(one.Module.Class)).ToDictionary(one => one.Path, one => one.Module.Class);
        return sizes.Entries.Where(entry => classes.ContainsKey(entry.Key)).DistinctBy(entry => classes[entry.Key]).Select(entry => entry.Value).DefaultIfEmpty(0).Max();
    }

    private static long MeanOfInnermost(ModuleSizes sizes)
    {
        Dictionary<string, long> modules = WithoutInnermost(sizes.Entries), outer = WithoutInnermost(modules);
        long[] innermost = [.. modules.Where(one => one.Key.Length > 0 && !outer.ContainsKey(one.Key)).Select(one => one.Value)];
        return innermost.Length == 0 ? 0 : (long)((double)innermost.Sum() / innermost.Length);
    }

    // Entries under which there are others.
    private static Dictionary<string, long> WithoutInnermost(IEnumerable<KeyValuePair<string, long>> entries)
    {
        Dictionary<string, long> all = entries.ToDictionary();
        HashSet<string> parents = [.. all.Keys.Where(path => path.Length > 0).Select(Parent)];
        return all.Where(one => parents.Contains(one.Key)).ToDictionary();
    }

    private static string Parent(string path) => path.LastIndexOf('.') is >= 0 and int dot ? path[..dot] : "";
}
