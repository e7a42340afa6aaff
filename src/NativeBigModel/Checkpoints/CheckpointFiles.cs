using System.Collections.Concurrent;
using Microsoft.Win32.SafeHandles;
using NativeBigModel.Native;

namespace NativeBigModel.Checkpoints;

/// <summary>Random-access reads of a checkpoint's files, from any number of threads. Files open on first use and close together.</summary>
/// <param name="once">Whether what is read is not read again: then large pieces that the system does not hold in memory are read around its page cache.</param>
internal sealed class CheckpointFiles(bool once = false) : IDisposable
{
    // Smaller ones are rows in another order, or columns, which are near to what is read next.
    private const int LeastDirect = 128 << 10;

    // A whole number of aligned pages.
    private const int MostDirect = 4 << 20;

    private readonly Dictionary<string, OpenFile> _open = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<HugeBuffer> _buffers = [];
    private readonly Lock _lock = new();

    /// <summary>Fills <paramref name="destination"/> from <paramref name="offset"/>.</summary>
    /// <exception cref="CheckpointException">The file is gone or shorter than its header said.</exception>
    public void Read(string file, long offset, Span<byte> destination)
    {
        try
        {
            OpenFile opened = Open(file);
            if (destination.Length >= LeastDirect && opened.Direct is { } direct && !opened.Cache!.Holds(offset, destination.Length))
            {
                int read = ReadAround(direct, offset, destination);
                destination = destination[read..];
                offset += read;
            }
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(opened.Handle, destination, offset);
                if (read == 0) throw new CheckpointException(Path.GetFileName(file), $"byte {offset}", $"the file ends {destination.Length} bytes early");
                destination = destination[read..];
                offset += read;
            }
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(Path.GetFileName(file), $"byte {offset}", error.Message, error);
        }
    }

    public void Dispose()
    {
        lock (_lock)
        {
            foreach (OpenFile file in _open.Values) file.Dispose();
            _open.Clear();
        }
        foreach (HugeBuffer buffer in _buffers) buffer.Dispose();
        _buffers.Clear();
    }

    private OpenFile Open(string file)
    {
        lock (_lock)
        {
            if (!_open.TryGetValue(file, out OpenFile? opened)) _open[file] = opened = new OpenFile(file, once);
            return opened;
        }
    }

    // What could be read so; the file's end and errors are left to ordinary reads.
    private unsafe int ReadAround(SafeFileHandle file, long offset, Span<byte> destination)
    {
        HugeBuffer buffer = _buffers.TryTake(out HugeBuffer? used) ? used : new(MostDirect);
        try
        {
            int done = 0;
            while (done < destination.Length)
            {
                int before = (int)((offset + done) % DirectFile.Alignment), wanted = Math.Min(destination.Length - done, MostDirect - before);
                int got = Math.Min(wanted, RandomAccess.Read(file, new Span<byte>(buffer.Bytes, DirectFile.Whole(before + wanted)), offset + done - before) - before);
                if (got <= 0) break;
                new Span<byte>(buffer.Bytes + before, got).CopyTo(destination[done..]);
                done += got;
            }
            return done;
        }
        catch (IOException) { return 0; }
        finally { _buffers.Add(buffer); }
    }

    private sealed class OpenFile : IDisposable
    {
        public OpenFile(string path, bool once)
        {
            Handle = File.OpenHandle(path);
            if (!once || (Cache = PageCache.TryOpen(Handle)) is null) return;
            Direct = DirectFile.TryOpenRead(path);
        }

        public SafeFileHandle Handle { get; }

        /// <summary>There where <see cref="Direct"/> is.</summary>
        public PageCache? Cache { get; }

        public SafeFileHandle? Direct { get; }

        public void Dispose()
        {
            Direct?.Dispose();
            Cache?.Dispose();
            Handle.Dispose();
        }
    }
}
