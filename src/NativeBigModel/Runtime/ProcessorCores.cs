using System.Globalization;
using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>The cores that this process may compute on: what its affinity and its control group allow, each once however many threads it runs.</summary>
internal static partial class ProcessorCores
{
    private static readonly Lazy<int> s_usable = new(() => Math.Clamp(Count() ?? Environment.ProcessorCount, 1, Environment.ProcessorCount));

    /// <summary>At least 1, and no more than <see cref="Environment.ProcessorCount"/>.</summary>
    public static int Usable => s_usable.Value;

    private static int? Count()
    {
        try
        {
            return OperatingSystem.IsLinux() ? OfLinux("/proc/self/status", "/sys/devices/system/cpu") : OperatingSystem.IsMacOS() ? OfMac() : OperatingSystem.IsWindows() ? OfWindows() : null;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or FormatException or OverflowException or EntryPointNotFoundException or DllNotFoundException) { return null; }
    }

    /// <summary>Of the processors that a process may run on, how many cores they belong to; null where the system does not say.</summary>
    /// <param name="status">The process's status file.</param>
    /// <param name="processors">The folder that has one for each processor.</param>
    internal static int? OfLinux(string status, string processors)
    {
        const string name = "Cpus_allowed_list:";
        if (File.ReadLines(status).FirstOrDefault(line => line.StartsWith(name, StringComparison.Ordinal)) is not { } allowed) return null;
        var cores = new HashSet<(string, string)>();
        foreach (string range in allowed[name.Length..].Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            int[] ends = [.. range.Split('-').Select(end => int.Parse(end, CultureInfo.InvariantCulture))];
            for (int processor = ends[0]; processor <= ends[^1]; processor++)
            {
                string topology = Path.Combine(processors, $"cpu{processor}", "topology");
                if (!Directory.Exists(topology)) return null;
                cores.Add((File.ReadAllText(Path.Combine(topology, "physical_package_id")).Trim(), File.ReadAllText(Path.Combine(topology, "core_id")).Trim()));
            }
        }
        return cores.Count;
    }

    // The fast ones, where there are two kinds.
    private static int? OfMac() => ((string[])["hw.perflevel0.physicalcpu", "hw.physicalcpu"]).Select(name =>
    {
        nuint size = sizeof(int);
        return SystemValue(name, out int cores, ref size, 0, 0) == 0 && cores > 0 ? cores : (int?)null;
    }).FirstOrDefault(cores => cores is not null);

    // One record of variable size for each core: what it describes (0, a core) and its size come first.
    private static int? OfWindows()
    {
        uint size = 0;
        ProcessorInformation(0, null, ref size);
        byte[] records = new byte[size];
        if (!ProcessorInformation(0, records, ref size)) return null;
        int cores = 0;
        for (int at = 0; at + 8 <= records.Length && BitConverter.ToInt32(records, at + 4) is > 0 and var length; at += length) cores += BitConverter.ToInt32(records, at) == 0 ? 1 : 0;
        return cores;
    }

    [LibraryImport("libc", EntryPoint = "sysctlbyname", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int SystemValue(string name, out int value, ref nuint size, nint newValue, nuint newSize);

    [LibraryImport("kernel32", EntryPoint = "GetLogicalProcessorInformationEx", SetLastError = true)]
    [return: MarshalAs(UnmanagedType.Bool)]
    private static partial bool ProcessorInformation(int relation, [Out] byte[]? records, ref uint size);
}
