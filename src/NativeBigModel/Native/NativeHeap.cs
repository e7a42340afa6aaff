using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>The C library's heap of the calling thread, from which the engine's containers take their memory.</summary>
internal static unsafe class NativeHeap
{
    // glibc takes blocks of up to 32 MiB from the heap, once one as large was freed, and gives nothing back to the system before twice that is free; a heap has 64 MiB.
    private const int Largest = 30 << 20, Half = 28 << 20;

    /// <summary>
    /// Makes room for many small blocks, in large pages where the system grants them: glibc enlarges the heaps of all threads but the first by 4 KiB at a time, a call to the
    /// system and a page fault each. With other C libraries it does nothing that shows.
    /// </summary>
    public static void MakeRoom()
    {
        if (!OperatingSystem.IsLinux()) return;
        NativeMemory.Free(NativeMemory.Alloc(Largest));
        void* first = NativeMemory.Alloc(Half), second = NativeMemory.Alloc(Half);
        HugePages.Wish(first, Half);
        HugePages.Wish(second, Half);
        NativeMemory.Free(first);
        NativeMemory.Free(second);
    }
}
