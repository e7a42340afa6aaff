using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

/// <summary>Files around the system's page cache. What passes once has no use for the cache, whose pages can cost more time than a disk.</summary>
internal static partial class DirectFile
{
    /// <summary>What offsets, lengths and addresses are multiples of.</summary>
    public const int Alignment = 4096;

    /// <summary>So many bytes and what they lack of a multiple of <see cref="Alignment"/>.</summary>
    public static int Whole(int bytes) => (bytes + Alignment - 1) / Alignment * Alignment;

    // Linux, asm-generic/fcntl.h; the direct flag is another on ARM.
    private const int WriteOnly = 1, CloseOnExec = 0x80000;

    private static int Direct => RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm ? 0x10000 : 0x4000;

    /// <summary>Opens a file to be read so; null where that cannot be.</summary>
    public static SafeFileHandle? TryOpenRead(string path)
    {
        const FileOptions noBuffering = (FileOptions)0x20000000;
        return OperatingSystem.IsLinux() ? TryOpen(path, 0) : File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, noBuffering);
    }

    /// <summary>Opens a file that is there to be written so; null where that cannot be.</summary>
    public static SafeFileHandle? TryOpenWrite(string path) => OperatingSystem.IsLinux() ? TryOpen(path, WriteOnly) : null;

    private static SafeFileHandle? TryOpen(string path, int access)
    {
        int file = Open(path, access | Direct | CloseOnExec);
        return file < 0 ? null : new SafeFileHandle(file, ownsHandle: true);
    }

    [LibraryImport("libc", EntryPoint = "open", StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);
}
