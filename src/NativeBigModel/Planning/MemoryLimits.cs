using System.Collections.Immutable;
using System.Globalization;

namespace NativeBigModel.Planning;

/// <summary>
/// The bytes that a plan may put on each device: accelerate's <c>max_memory</c>. A device that is not named is not used, except that host memory always
/// holds the token embedding and the disk takes what is left over.
/// </summary>
public sealed record MemoryLimits
{
    private const long LeftShare = 8, MostLeft = 2L << 30;

    /// <summary>Limits by GPU number.</summary>
    public ImmutableSortedDictionary<int, long> Gpus { get; init; } = ImmutableSortedDictionary<int, long>.Empty;

    /// <summary>Limit of host memory, or null where it is not to be used.</summary>
    public long? Host { get; init; }

    /// <summary>
    /// Everything that is free on a machine, but for an eighth of its RAM, at most 2 GiB, which the program itself and its neighbours go on with: a container kills what takes more than it has.
    /// </summary>
    public static MemoryLimits Of(Machine machine)
    {
        ArgumentNullException.ThrowIfNull(machine);
        return Free(machine) with { Host = machine.HostFreeBytes - Math.Min(machine.HostFreeBytes / LeftShare, MostLeft) };
    }

    /// <summary>All that is free.</summary>
    internal static MemoryLimits Free(Machine machine) => new()
    {
        Gpus = machine.Gpus.Select((gpu, i) => KeyValuePair.Create(i, gpu.FreeBytes)).ToImmutableSortedDictionary(),
        Host = machine.HostFreeBytes,
    };

    /// <summary>What is left of these limits beside another plan that is, or will be, carried out: for a model next to its draft model, for example.</summary>
    /// <param name="plan">The other plan.</param>
    public MemoryLimits Beside(Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        long Left(string device, long limit) => Math.Max(0, limit - plan.Devices.Where(one => one.Name == device).Sum(one => one.TotalBytes));
        return new()
        {
            Gpus = Gpus.ToImmutableSortedDictionary(gpu => gpu.Key, gpu => Left(DeviceName.Gpu(gpu.Key), gpu.Value)),
            Host = Host is { } host ? Left(DeviceName.Host, host) : null,
        };
    }

    /// <summary>The same limits, with more on one device; of host memory that was not to be used, so much.</summary>
    internal MemoryLimits Raised(string device, long bytes) => DeviceName.GpuIndex(device) is { } gpu
        ? this with { Gpus = Gpus.SetItem(gpu, Gpus[gpu] + bytes) }
        : this with { Host = (Host ?? 0) + bytes };

    /// <summary>Reads <c>0=10GiB,1=10GiB,cpu=20GiB</c>.</summary>
    /// <exception cref="InvalidOptionException">An entry is malformed, names an unknown device or names one twice.</exception>
    public static MemoryLimits Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        var gpus = ImmutableSortedDictionary.CreateBuilder<int, long>();
        long? host = null;
        foreach (string entry in text.Split(',', StringSplitOptions.TrimEntries))
        {
            string[] parts = entry.Split('=', 2, StringSplitOptions.TrimEntries);
            if (parts.Length != 2) throw new InvalidOptionException($"max memory: '{entry}' is not DEVICE=SIZE, such as 0=10GiB or cpu=20GiB");
            long bytes = ByteSize.Parse(parts[1]);
            bool added;
            if (parts[0].Equals("cpu", StringComparison.OrdinalIgnoreCase)) (added, host) = (host is null, bytes);
            else if (int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int gpu)) added = gpus.TryAdd(gpu, bytes);
            else throw new InvalidOptionException($"max memory: '{parts[0]}' is not a device; there are GPU numbers (0, 1, ...) and cpu");
            if (!added) throw new InvalidOptionException($"max memory: {parts[0]} is named twice");
        }
        return new() { Gpus = gpus.ToImmutable(), Host = host };
    }
}
