using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>Memory that weights are written into for the first time: in pages of 4 KiB the system spends longer on handing it out than a disk on filling it.</summary>
internal static unsafe partial class HugePages
{
    private const nuint Page = 4096;
    private const nuint HugePage = 2 << 20;
    private const int AdviseHugePage = 14; // MADV_HUGEPAGE, asm-generic/mman-common.h

    /// <summary>Asks Linux for large pages under memory that nothing was written to. A wish: whatever the system does, the memory is as usable.</summary>
    public static void Wish(void* memory, nuint bytes)
    {
        if (!OperatingSystem.IsLinux()) return;
        nuint begin = ((nuint)memory + Page - 1) / Page * Page, end = ((nuint)memory + bytes) / Page * Page;
        if (end >= begin + HugePage) _ = MemoryAdvise(begin, end - begin, AdviseHugePage);
    }

    /// <summary>New memory, in large pages where the system grants them; freed by <see cref="NativeMemory.AlignedFree"/>.</summary>
    public static byte* Allocate(nuint bytes)
    {
        var memory = (byte*)NativeMemory.AlignedAlloc(bytes, bytes >= HugePage ? HugePage : Page);
        Wish(memory, bytes);
        return memory;
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int MemoryAdvise(nuint memory, nuint bytes, int advice);
}
