using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>What the engine looks at while it computes: raised, from any thread, it ends the pass at work or the next one. It outlives the context that looks at it.</summary>
internal sealed unsafe class AbortFlag : IDisposable
{
    private readonly int* _raised = (int*)NativeMemory.AllocZeroed(sizeof(int));

    public void Raise() => Volatile.Write(ref *_raised, 1);

    public void Lower() => Volatile.Write(ref *_raised, 0);

    /// <summary>Has a context of these parameters look at it.</summary>
    public void Watch(ref LlamaContextParams parameters)
    {
        parameters.AbortCallback = &ShouldAbort;
        parameters.AbortCallbackData = _raised;
    }

    public void Dispose() => NativeMemory.Free(_raised);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte ShouldAbort(void* data) => Volatile.Read(ref *(int*)data) != 0 ? (byte)1 : (byte)0;
}
