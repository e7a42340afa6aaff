namespace NativeBigModel.Native;

/// <summary>Host memory from which a device fetches by itself: out of other memory its driver copies first.</summary>
internal sealed unsafe class PinnedBuffer : IDisposable
{
    private GgmlBackendBuffer* _buffer;

    private PinnedBuffer(GgmlBackendBuffer* buffer)
    {
        _buffer = buffer;
        Bytes = (byte*)GgmlGraphApi.GgmlBackendBufferGetBase(buffer);
    }

    public byte* Bytes { get; private set; }

    /// <summary>Null where the memory is refused. A backend that cannot pin so much may give memory that is not.</summary>
    /// <param name="type">A device's type of host memory.</param>
    /// <param name="bytes">How much.</param>
    public static PinnedBuffer? Create(GgmlBackendBufferType* type, int bytes)
    {
        GgmlBackendBuffer* buffer = GgmlGraphApi.GgmlBackendBuftAllocBuffer(type, (nuint)bytes);
        return buffer is null ? null : new PinnedBuffer(buffer);
    }

    public void Dispose()
    {
        if (_buffer is null) return;
        GgmlGraphApi.GgmlBackendBufferFree(_buffer);
        _buffer = null;
        Bytes = null;
    }
}
