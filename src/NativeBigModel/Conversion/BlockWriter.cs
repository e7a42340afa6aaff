using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using NativeBigModel.Native;

namespace NativeBigModel.Conversion;

/// <summary>
/// Writes a new file around the page cache, in blocks that are put together from the pieces as they come, from any thread. A block is in memory from its first piece to its last:
/// pieces should come nearly in order. Where the file system has no such writing, pieces are written as they are.
/// </summary>
internal sealed unsafe class BlockWriter : IDisposable
{
    private const int BlockBytes = 2 << 20;

    private sealed class Block(HugeBuffer memory, int bytes)
    {
        public HugeBuffer Memory { get; } = memory;

        public int Bytes { get; } = bytes;

        public int Missing = bytes;
    }

    private readonly SafeFileHandle _file;
    private readonly SafeFileHandle? _direct;
    private readonly long _bytes;
    private readonly Lock _lock = new();
    private readonly Dictionary<long, Block> _begun = [];
    private readonly ConcurrentBag<HugeBuffer> _free = [];

    /// <exception cref="IOException">The file is there already, or there is no room for it.</exception>
    public BlockWriter(string path, long bytes)
    {
        _bytes = bytes;
        _file = File.OpenHandle(path, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, bytes);
        _direct = DirectFile.TryOpenWrite(path);
    }

    /// <summary>Takes a piece; none may overlap another.</summary>
    public void Write(long offset, ReadOnlySpan<byte> piece)
    {
        if (_direct is null)
        {
            RandomAccess.Write(_file, piece, offset);
            return;
        }
        while (!piece.IsEmpty)
        {
            (long number, long within) = Math.DivRem(offset, BlockBytes);
            Block block = Begun(number);
            ReadOnlySpan<byte> part = piece[..(int)Math.Min(piece.Length, block.Bytes - within)];
            part.CopyTo(new Span<byte>(block.Memory.Bytes + within, part.Length));
            if (Interlocked.Add(ref block.Missing, -part.Length) == 0) End(number, block);
            offset += part.Length;
            piece = piece[part.Length..];
        }
    }

    /// <summary>All pieces have come: the file is on the disk, and has its size.</summary>
    public void Complete()
    {
        RandomAccess.SetLength(_file, _bytes);
        RandomAccess.FlushToDisk(_file);
    }

    public void Dispose()
    {
        _direct?.Dispose();
        _file.Dispose();
        foreach (HugeBuffer memory in _free.Concat(_begun.Values.Select(block => block.Memory))) memory.Dispose();
    }

    private Block Begun(long number)
    {
        lock (_lock)
        {
            if (!_begun.TryGetValue(number, out Block? block))
                _begun[number] = block = new(_free.TryTake(out HugeBuffer? memory) ? memory : new HugeBuffer(BlockBytes), (int)Math.Min(BlockBytes, _bytes - number * BlockBytes));
            return block;
        }
    }

    private void End(long number, Block block)
    {
        var memory = new Span<byte>(block.Memory.Bytes, DirectFile.Whole(block.Bytes));
        memory[block.Bytes..].Clear(); // what stands behind the file's end until it gets its size
        try { RandomAccess.Write(_direct!, memory, number * BlockBytes); }
        catch (IOException) { RandomAccess.Write(_file, memory[..block.Bytes], number * BlockBytes); } // another alignment is wanted; what else went wrong does so again
        lock (_lock) _begun.Remove(number);
        _free.Add(block.Memory);
    }
}
