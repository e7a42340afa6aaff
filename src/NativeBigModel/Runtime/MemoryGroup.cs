using System.Globalization;

namespace NativeBigModel.Runtime;

/// <summary>The limit that a Linux control group puts on this process's memory, and what of it is taken.</summary>
/// <param name="Version">1 or 2, of control groups.</param>
/// <param name="LimitBytes">Bytes that the group may take.</param>
/// <param name="FreeBytes">Bytes of these that are not taken, caches of files counted as free.</param>
public sealed record MemoryGroup(int Version, long LimitBytes, long FreeBytes)
{
    // What version 1 writes where there is no limit is the largest number of whole pages.
    private const long NoLimit = long.MaxValue / 2;

    /// <summary>The nearest group with a limit, or null where there is none or the system has no such groups.</summary>
    public static MemoryGroup? OfThisProcess()
    {
        if (!OperatingSystem.IsLinux()) return null;
        try { return Find("/proc/self/cgroup", "/sys/fs/cgroup"); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { return null; }
    }

    internal static MemoryGroup? Find(string membership, string root)
    {
        MemoryGroup? least = null;
        foreach (string line in File.ReadLines(membership))
        {
            string[] fields = line.Split(':', 3);
            if (fields.Length != 3) continue;
            bool second = fields[1].Length == 0;
            if (!second && !fields[1].Split(',').Contains("memory")) continue;
            string top = second ? root : Path.Combine(root, "memory");
            // A container sees its own group as the root, under the path that the host has for it.
            for (string path = Path.TrimEndingDirectorySeparator(top + fields[2]); path.Length >= top.Length; path = Path.GetDirectoryName(path) ?? "")
            {
                if (Read(path, second) is { } group && (least is null || group.FreeBytes < least.FreeBytes)) least = group;
            }
        }
        return least;
    }

    private static MemoryGroup? Read(string folder, bool second)
    {
        if (Number(Path.Combine(folder, second ? "memory.max" : "memory.limit_in_bytes")) is not { } limit || limit >= NoLimit) return null;
        long taken = Number(Path.Combine(folder, second ? "memory.current" : "memory.usage_in_bytes")) ?? 0;
        string statistics = Path.Combine(folder, "memory.stat"), name = second ? "inactive_file " : "total_inactive_file ";
        string? cached = File.Exists(statistics) ? File.ReadLines(statistics).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) : null;
        long reclaimable = cached is not null && long.TryParse(cached.AsSpan(name.Length), CultureInfo.InvariantCulture, out long bytes) ? bytes : 0;
        return new(second ? 2 : 1, limit, Math.Clamp(limit - taken + reclaimable, 0, limit));
    }

    private static long? Number(string file) => File.Exists(file) && long.TryParse(File.ReadAllText(file).Trim(), CultureInfo.InvariantCulture, out long value) ? value : null;
}
