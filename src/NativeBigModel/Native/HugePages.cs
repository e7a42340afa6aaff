using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>Memory that weights are written into for the first time: in pages of 4 KiB the system spends longer on handing it out than a disk on filling it.</summary>
internal static unsafe partial class HugePages
{
    /// <summary>What a large page of Linux has on the processors that .NET runs on, in bytes.</summary>
    public const nuint HugePage = 2 << 20;

    private const nuint Page = 4096;
    private const int AdviseHugePage = 14; // MADV_HUGEPAGE, asm-generic/mman-common.h

    /// <summary>Asks Linux for large pages under memory that nothing was written to. A wish: whatever the system does, the memory is as usable.</summary>
    public static void Wish(void* memory, nuint bytes)
    {
        if (!OperatingSystem.IsLinux()) return;
        nuint begin = ((nuint)memory + Page - 1) / Page * Page, end = ((nuint)memory + bytes) / Page * Page;
        if (end >= begin + HugePage) _ = MemoryAdvise(begin, end - begin, AdviseHugePage);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(nuint memory, nuint bytes, int advice);
}

/// <summary>Memory outside the managed heap, in large pages where the system grants them.</summary>
internal sealed unsafe class HugeBuffer : IDisposable
{
    public HugeBuffer(int bytes)
    {
        Length = bytes;
        Bytes = (byte*)NativeMemory.AlignedAlloc((nuint)Math.Max(1, bytes), (nuint)bytes >= HugePages.HugePage ? HugePages.HugePage : 64);
        HugePages.Wish(Bytes, (nuint)bytes);
    }

    public byte* Bytes { get; private set; }

    public int Length { get; }

    public void Dispose()
    {
        NativeMemory.AlignedFree(Bytes);
        Bytes = null;
    }
}
