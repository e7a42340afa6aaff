using NativeBigModel.Native;

namespace NativeBigModel.Conversion;

/// <summary>What one worker reads into and encodes into: grown to the largest piece, and used again for the next.</summary>
internal sealed unsafe class WorkerMemory : IDisposable
{
    private HugeBuffer? _source;
    private HugeBuffer? _target;

    /// <summary>For rows as they are read.</summary>
    public Span<byte> Source(int bytes) => Grow(ref _source, bytes);

    /// <summary>For rows as they are delivered.</summary>
    public Span<byte> Target(int bytes) => Grow(ref _target, bytes);

    public void Dispose()
    {
        _source?.Dispose();
        _target?.Dispose();
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
