using System.Diagnostics;
using Microsoft.Win32.SafeHandles;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>How fast a folder's disk is read around the page cache, by as many readers as the streaming store has.</summary>
internal static unsafe class DirectRead
{
    private const int Readers = 4;
    private const int Block = 8 << 20;
    private const long FileBytes = 256L << 20;

    /// <summary>Bytes per second, or null where a file cannot be written there or read directly.</summary>
    public static double? Speed(string folder, TimeSpan budget, CancellationToken cancel)
    {
        string path = Path.Combine(folder, $"nbm-disk-{Guid.NewGuid():N}.tmp");
        try
        {
            Directory.CreateDirectory(folder);
            if (new DriveInfo(Path.GetFullPath(folder)).AvailableFreeSpace < 4 * FileBytes) return null;
            Write(path, cancel);
            using SafeFileHandle? file = DirectFile.TryOpenRead(path);
            return file is null ? null : Read(file, budget, cancel);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException) { return null; }
        finally { File.Delete(path); }
    }

    private static void Write(string path, CancellationToken cancel)
    {
        byte[] block = GC.AllocateUninitializedArray<byte>(Block);
        new Random(1).NextBytes(block); // a disk that compresses must not win by it
        using var file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.Read, 1);
        for (long written = 0; written < FileBytes; written += Block)
        {
            cancel.ThrowIfCancellationRequested();
            file.Write(block);
        }
        file.Flush(flushToDisk: true);
    }

    private static double Read(SafeFileHandle file, TimeSpan budget, CancellationToken cancel)
    {
        long read = 0, started = Stopwatch.GetTimestamp();
        Exception? failure = null;
        void Work(int reader)
        {
            try
            {
                using var memory = new HugeBuffer(Block);
                for (long offset = reader * (long)Block; !cancel.IsCancellationRequested && Stopwatch.GetElapsedTime(started) < budget; offset = (offset + Readers * Block) % FileBytes)
                    Interlocked.Add(ref read, RandomAccess.Read(file, new Span<byte>(memory.Bytes, Block), offset));
            }
            catch (IOException error) { failure = error; }
        }
        // Threads of their own: a pool has one for each core, and begins others slowly.
        Thread[] threads = [.. Enumerable.Range(0, Readers).Select(reader => new Thread(() => Work(reader)) { IsBackground = true, Name = $"disk reader {reader}" })];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        cancel.ThrowIfCancellationRequested();
        return failure is null ? read / Stopwatch.GetElapsedTime(started).TotalSeconds : throw failure;
    }
}
