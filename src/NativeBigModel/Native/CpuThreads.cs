using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>
/// The CPU's threads between two computations (ggml_threadpool). Without one, ggml starts and ends as many threads for every piece of a graph that the CPU computes: a hybrid
/// plan has one in each layer.
/// </summary>
internal static unsafe partial class CpuThreads
{
    /// <summary>Of ggml's scale of 100: threads look for work for a few milliseconds, as long as a GPU has a layer or the ring's next group takes to come, before they sleep.</summary>
    private const uint Polling = 1;

    /// <summary>Threads for a context, which must be freed before them; 0 where the CPU computes with one, or the engine has none to give.</summary>
    public static nint Create(int threads)
    {
        if (threads <= 1) return 0;
        nint create = Find("ggml_threadpool_new");
        if (create == 0) return 0;
        Parameters parameters;
        Init(&parameters, threads);
        parameters.Poll = Polling;
        return ((delegate* unmanaged[Cdecl]<Parameters*, nint>)create)(&parameters);
    }

    public static void Free(nint pool)
    {
        if (pool != 0) ((delegate* unmanaged[Cdecl]<nint, void>)Find("ggml_threadpool_free"))(pool);
    }

    private static nint Find(string name) =>
        (nint)GgmlGraphApi.GgmlBackendRegGetProcAddress(GgmlGraphApi.GgmlBackendDevBackendReg(GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu)), name);

    [LibraryImport(EngineLibrary.GgmlBase, EntryPoint = "ggml_threadpool_params_init")]
    private static partial void Init(Parameters* parameters, int threads);

    /// <summary>ggml.h: struct ggml_threadpool_params.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct Parameters
    {
        public fixed byte CpuMask[512]; // GGML_MAX_N_THREADS
        public int Threads;
        public int Priority;
        public uint Poll;
        public byte StrictCpu;
        public byte Paused;
    }
}
