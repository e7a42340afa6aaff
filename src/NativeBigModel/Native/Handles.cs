using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

// One handle per native noun. A create that failed returns a handle that is invalid, never null: check IsInvalid.

internal sealed class LlamaModelHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private readonly List<SafeHandle> _devices = [];

    /// <summary>Keeps a device that the model was built on until the model is freed.</summary>
    public void Hold(SafeHandle device)
    {
        bool held = false;
        device.DangerousAddRef(ref held);
        _devices.Add(device);
    }

    /// <summary>Makes a context whose CPU computes with these threads, on the model's devices too; 0 for threads that come and go.</summary>
    public LlamaContextHandle Init(LlamaContextParams parameters, nint threads)
    {
        lock (_devices)
        {
            foreach (NbmDeviceHandle device in _devices.OfType<NbmDeviceHandle>()) NbmApi.NbmDeviceSetThreads(device, threads);
            return LlamaContextApi.LlamaInitFromModel(this, parameters);
        }
    }

    protected override bool ReleaseHandle()
    {
        LlamaModelApi.LlamaModelFree(handle);
        foreach (SafeHandle device in _devices) device.DangerousRelease();
        return true;
    }
}

/// <summary>A context. It holds its model, which is freed only after it, whichever is disposed of first.</summary>
internal sealed class LlamaContextHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    private LlamaModelHandle? _model;
    private nint _threads;

    public static LlamaContextHandle Create(LlamaModelHandle model, LlamaContextParams parameters)
    {
        bool held = false;
        model.DangerousAddRef(ref held);
        nint threads = CpuThreads.Create(Math.Max(parameters.NThreads, parameters.NThreadsBatch));
        LlamaContextHandle? context = null;
        try
        {
            context = model.Init(parameters, threads);
            if (context.IsInvalid) return context;
            (context._model, context._threads) = (model, threads);
            if (threads != 0) LlamaContextApi.LlamaAttachThreadpool(context, threads, threads);
            return context;
        }
        finally
        {
            if (context?._model is null)
            {
                CpuThreads.Free(threads);
                model.DangerousRelease();
            }
        }
    }

    protected override bool ReleaseHandle()
    {
        LlamaContextApi.LlamaFree(handle);
        CpuThreads.Free(_threads);
        _model?.DangerousRelease();
        return true;
    }
}

/// <summary>A chain of samplers, and the samplers in it.</summary>
internal sealed class LlamaSamplerHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        LlamaSamplerApi.LlamaSamplerFree(handle);
        return true;
    }
}

internal sealed class GgufHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        GgufApi.GgufFree(handle);
        return true;
    }
}

/// <summary>Keeps what a handle owns alive for the length of a call that works on a pointer into it.</summary>
internal readonly ref struct HandleLease
{
    private readonly SafeHandle _handle;

    /// <exception cref="ObjectDisposedException">The handle was disposed of.</exception>
    public HandleLease(SafeHandle handle)
    {
        _handle = handle;
        bool held = false;
        handle.DangerousAddRef(ref held);
    }

    public void Dispose() => _handle.DangerousRelease();
}
