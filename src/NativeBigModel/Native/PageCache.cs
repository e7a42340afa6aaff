using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

/// <summary>What of a file Linux holds in memory. Thread-safe.</summary>
internal sealed unsafe partial class PageCache : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly byte* _memory;

    private PageCache(SafeFileHandle file)
    {
        _file = MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
        _view = _file.CreateViewAccessor(0, 0, MemoryMappedFileAccess.Read);
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref _memory);
    }

    /// <summary>Looks at a file; null where nothing can be seen of it.</summary>
    public static PageCache? TryOpen(SafeFileHandle file)
    {
        if (!OperatingSystem.IsLinux()) return null;
        try { return new(file); }
        catch (Exception error) when (error is IOException or ArgumentException or UnauthorizedAccessException) { return null; }
    }

    /// <summary>Whether most of a part is in memory. Another user's file is said to be.</summary>
    public bool Holds(long offset, int bytes)
    {
        long page = Environment.SystemPageSize, first = offset / page * page, length = Math.Min(offset + bytes, _view.Capacity) - first;
        if (length <= 0) return false;
        Span<byte> pages = new byte[(length + page - 1) / page];
        fixed (byte* states = pages)
        {
            if (InCore(_memory + first, (nuint)length, states) != 0) return false;
        }
        int held = 0;
        foreach (byte state in pages) held += state & 1;
        return 2 * held > pages.Length;
    }

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }

    [LibraryImport("libc", EntryPoint = "mincore")]
    private static partial int InCore(byte* memory, nuint bytes, byte* pages);
}
