using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

/// <summary>Writing to the disk while there is more to write: a system with much memory begins by itself when gigabytes wait, and a flush at the end then waits for all of them.</summary>
internal static partial class WriteBack
{
    private const uint Begins = 2; // SYNC_FILE_RANGE_WRITE, linux/fs.h

    /// <summary>Has Linux begin to write what it holds of a file. A wish: nothing waits, and nothing is promised.</summary>
    public static void Begin(SafeFileHandle file)
    {
        if (OperatingSystem.IsLinux()) _ = SyncFileRange(file, 0, 0, Begins);
    }

    [LibraryImport("libc", EntryPoint = "sync_file_range")]
    private static partial int SyncFileRange(SafeFileHandle file, long offset, long bytes, uint flags);
}
