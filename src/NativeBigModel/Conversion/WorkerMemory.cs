using NativeBigModel.Native;

namespace NativeBigModel.Conversion;

/// <summary>What one worker reads into and encodes into: grown to the largest piece, and used again for the next.</summary>
internal sealed unsafe class WorkerMemory : IDisposable
{
    private HugeBuffer? _source;
    private HugeBuffer? _target;
    private PinnedBuffer? _pinned;
    private bool _askedToPin;

    /// <summary>For rows as they are read.</summary>
    public Span<byte> Source(int bytes) => Grow(ref _source, bytes);

    /// <summary>For rows as they are delivered.</summary>
    public Span<byte> Target(int bytes) => Grow(ref _target, bytes);

    /// <summary>For rows that a device fetches: pinned memory, which is taken once, or what <see cref="Target"/> gives where that is refused or too small.</summary>
    /// <param name="type">The type of memory, the same for all pieces.</param>
    /// <param name="taken">Bytes to take of it.</param>
    /// <param name="bytes">Bytes of the piece.</param>
    public Span<byte> Pinned(GgmlBackendBufferType* type, int taken, int bytes)
    {
        if (bytes > taken) return Target(bytes);
        if (!_askedToPin) (_askedToPin, _pinned) = (true, PinnedBuffer.Create(type, taken));
        return _pinned is not null ? new(_pinned.Bytes, bytes) : Target(bytes);
    }

    public void Dispose()
    {
        _source?.Dispose();
        _target?.Dispose();
        _pinned?.Dispose();
    }

    private static Span<byte> Grow(ref HugeBuffer? buffer, int bytes)
    {
        if (buffer is null || buffer.Length < bytes)
        {
            buffer?.Dispose();
            buffer = new HugeBuffer(bytes);
        }
        return new(buffer.Bytes, bytes);
    }
}
