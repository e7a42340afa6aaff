using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Bench.Contests;

/// <summary>A Linux control group that holds a process to a budget of RAM, the system's copies of files counted in: what a container does.</summary>
internal sealed partial class MemoryCage : IDisposable
{
    private const int DontNeed = 4; // POSIX_FADV_DONTNEED

    private readonly string _folder;

    private MemoryCage(string folder) => _folder = folder;

    /// <summary>Makes a group, or says why it cannot be made.</summary>
    public static MemoryCage? Make(long bytes, out string reason)
    {
        reason = "this system has no control groups for memory";
        if (!OperatingSystem.IsLinux()) return null;
        foreach (string line in File.ReadLines("/proc/self/cgroup"))
        {
            string[] fields = line.Split(':', 3);
            bool second = fields[1].Length == 0;
            string root = second ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory", limit = second ? "memory.max" : "memory.limit_in_bytes";
            if (!second && !fields[1].Split(',').Contains("memory")) continue;
            // A group with processes of its own may have no groups with limits in it: then one beside it has.
            for (string? parent = root + fields[2].TrimEnd('/'); parent is not null && parent.StartsWith(root, StringComparison.Ordinal); parent = Path.GetDirectoryName(parent))
            {
                if (Make(parent, limit, bytes, second, ref reason) is { } cage) return cage;
            }
        }
        return null;
    }

    private static MemoryCage? Make(string parent, string limit, long bytes, bool second, ref string reason)
    {
        if (!File.Exists(Path.Combine(parent, second ? "cgroup.controllers" : "cgroup.procs"))) return null;
        string folder = Path.Combine(parent, string.Create(CultureInfo.InvariantCulture, $"nbm-bench-{Environment.ProcessId}"));
        try
        {
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Combine(folder, limit), bytes.ToString(CultureInfo.InvariantCulture));
            if (second && File.Exists(Path.Combine(folder, "memory.swap.max"))) File.WriteAllText(Path.Combine(folder, "memory.swap.max"), "0");
            return new(folder);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            reason = $"a control group cannot be made: {error.Message}";
            if (Directory.Exists(folder)) Directory.Delete(folder);
            return null;
        }
    }

    /// <summary>The command that runs <paramref name="command"/> inside.</summary>
    public string[] Around(IEnumerable<string> command) => ["sh", "-c", "echo $$ > \"$0\" && exec \"$@\"", Path.Combine(_folder, "cgroup.procs"), .. command];

    /// <summary>Has the system forget its copies of a file, or of a folder's: those count for whoever read them first, and would be free for the next.</summary>
    public static void Forget(string path)
    {
        if (!OperatingSystem.IsLinux()) return;
        foreach (string file in Directory.Exists(path) ? Directory.EnumerateFiles(path) : [path])
        {
            using SafeFileHandle handle = File.OpenHandle(file);
            RandomAccess.FlushToDisk(handle); // what was not written yet is not forgotten
            _ = Advise(handle, 0, 0, DontNeed);
        }
    }

    public void Dispose()
    {
        // Version 1 refuses while pages of files are charged to it; they go with the group.
        string empty = Path.Combine(_folder, "memory.force_empty");
        try
        {
            if (File.Exists(empty)) File.WriteAllText(empty, "0");
            Directory.Delete(_folder);
        }
        catch (IOException) { } // a process is still ending in it: an empty group costs nothing
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(SafeFileHandle file, long offset, long length, int advice);
}
