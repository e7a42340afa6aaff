using Microsoft.Win32.SafeHandles;

namespace NativeBigModel.Native;

internal sealed class NbmDeviceHandle() : SafeHandleZeroOrMinusOneIsInvalid(ownsHandle: true)
{
    protected override bool ReleaseHandle()
    {
        NbmApi.NbmDeviceDestroy(handle);
        return true;
    }
}

/// <summary>A device that streams one model's weights through a ring; see native/nbm.h for the order of calls. The model must hold <see cref="Handle"/> until it is freed.</summary>
internal sealed unsafe class StreamingDevice
{
    private StreamingDevice(NbmDeviceHandle handle) => Handle = handle;

    public NbmDeviceHandle Handle { get; }

    /// <summary>The device for llama.cpp, as ggml_backend_dev_t.</summary>
    public nint Device => (nint)NbmApi.NbmDeviceHandleOf(Handle);

    /// <summary>The buffer type of the weights that stream.</summary>
    public GgmlBackendBufferType* BufferType => NbmApi.NbmDeviceStreamBuft(Handle);

    /// <summary>The buffer type of the weights that the CPU computes where they rest, and the device for large batches.</summary>
    public GgmlBackendBufferType* SharedBufferType => NbmApi.NbmDeviceSharedBuft(Handle);

    public NbmStats Stats
    {
        get
        {
            NbmApi.NbmDeviceGetStats(Handle, out NbmStats stats);
            return stats;
        }
    }

    /// <summary>What one group of tensors has done; groups are numbered from 0 in the order in which a token passes them.</summary>
    public NbmGroupStats GroupStats(ulong group)
    {
        NbmGroupStats stats = default;
        Check((error, size) => NbmApi.NbmDeviceGetGroupStats(Handle, group, out stats, error, size));
        return stats;
    }

    /// <summary>Wraps a device.</summary>
    /// <param name="inner">A ggml_backend_dev_t.</param>
    /// <param name="ringBytes">Bytes of the ring; 0 where nothing passes through one.</param>
    /// <param name="computes">Whether it computes, or is only a place for weights and caches.</param>
    /// <param name="sharedBatch">Tokens from which it computes with shared weights; 0 for never.</param>
    /// <param name="linkedExperts">Experts of a token that it computes with shared weights that it reads where they rest, beside the CPU.</param>
    /// <param name="pinsFor">The device that host memory is pinned for; 0 for the wrapped one.</param>
    public static StreamingDevice Create(nint inner, long ringBytes, bool computes = true, int sharedBatch = 0, int linkedExperts = 0, nint pinsFor = 0)
    {
        StreamingLibrary.Load();
        NbmDeviceHandle? handle = null;
        var options = new NbmOptions
        {
            RingBytes = (ulong)ringBytes,
            AllowUnpinned = 1,
            Computes = computes ? 1u : 0,
            SharedBatch = (uint)sharedBatch,
            LinkedExperts = (uint)linkedExperts,
            PinsFor = (GgmlBackendDevice*)pinsFor,
            Cpu = linkedExperts > 0 ? GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu) : null,
        };
        Check((error, size) => NbmApi.NbmDeviceCreate((GgmlBackendDevice*)inner, options, out handle, error, size));
        return new StreamingDevice(handle!);
    }

    /// <summary>Whether a device, a ggml_backend_dev_t, can have linked experts: not where the plug-in is missing.</summary>
    public static bool ReadsHostMemory(nint device) => StreamingLibrary.TryLoad() && NbmApi.NbmReadsHostMemory((GgmlBackendDevice*)device) != 0;

    /// <summary>Lets a tensor's bytes stay in a file.</summary>
    public void BindFile(nint tensor, string path, long offset) =>
        Check((error, size) => NbmApi.NbmDeviceBindFile(Handle, (GgmlTensor*)tensor, path, (ulong)offset, error, size));

    /// <summary>Allocates ring and store.</summary>
    /// <exception cref="EngineException">Memory was refused.</exception>
    public void Commit() => Check((error, size) => NbmApi.NbmDeviceCommit(Handle, error, size));

    /// <summary>Where a streamed tensor's bytes go, after the commit; null for one in a file, on a device or of another wrapper.</summary>
    public byte* Bytes(nint tensor) => (byte*)NbmApi.NbmDeviceTensorBytes(Handle, (GgmlTensor*)tensor);

    /// <summary>So many bytes of a tensor that has <see cref="Bytes"/> are there, on any thread: the store is pinned part by part, while the rest is filled.</summary>
    public void Filled(nint tensor, long bytes) => Check((error, size) => NbmApi.NbmDeviceFilled(Handle, (GgmlTensor*)tensor, (ulong)bytes, error, size));

    /// <summary>Begins to stream.</summary>
    /// <exception cref="EngineException">Bytes are still to be filled.</exception>
    public void Start() => Check((error, size) => NbmApi.NbmDeviceStart(Handle, error, size));

    /// <summary>Tells it that a pass of so many tokens is next, on this thread: what a large batch needs first begins to come.</summary>
    public void Expect(int tokens) => NbmApi.NbmDeviceExpect(Handle, (uint)tokens);

    /// <summary>Why the last computation failed, or nothing.</summary>
    public string TakeError()
    {
        byte* error = stackalloc byte[NbmErrors.Bytes];
        NbmApi.NbmDeviceLastError(Handle, error, NbmErrors.Bytes);
        return Utf8.Text(error);
    }

    /// <summary>
    /// Host memory as a device of llama.cpp's list, so that layers can be assigned to it, which takes no part in computing: the CPU does that, and hands the
    /// large products of a prompt to a GPU, as it does for host memory that is no device. Weights of its shared type are pinned for that GPU once they are
    /// filled, which takes a fraction of the time that allocating pinned memory takes.
    /// </summary>
    public static StreamingDevice HostPlace(nint host, nint gpu) => Create(host, ringBytes: 0, computes: false, pinsFor: gpu);

    private static void Check(NbmErrors.Call call)
    {
        if (NbmErrors.Of(call) is { } reason) throw new EngineException($"streaming: {reason}");
    }
}
