using System.Globalization;

namespace NativeBigModel.Runtime;

/// <summary>What Linux says of the whole machine's RAM, in /proc/meminfo.</summary>
internal static class SystemMemory
{
    /// <summary>Bytes of a line such as <c>MemAvailable</c>; null where there is none, as on other systems.</summary>
    public static long? Bytes(string name)
    {
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/meminfo").FirstOrDefault(line => line.StartsWith(name + ":", StringComparison.Ordinal)) : null;
        return line is not null && long.TryParse(line.AsSpan(name.Length + 1).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture, out long kibibytes) ? kibibytes * 1024 : null;
    }
}
