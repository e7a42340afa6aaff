using System.Security.Cryptography;
using NativeBigModel.Checkpoints;
using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Conversion;

/// <summary>What is written and read around the page cache is what ordinary files have, on a disk and on a file system that has no such reading.</summary>
public class DirectFileTests
{
    private const int Block = 2 << 20;

    public static TheoryData<string, long> Files
    {
        get
        {
            var data = new TheoryData<string, long>();
            foreach (string parent in (string[])[Path.GetTempPath(), "/dev/shm"])
            {
                if (!Directory.Exists(parent)) continue;
                foreach (long bytes in (long[])[1, 4095, Block, 2 * Block + 1, 7 * Block - 4097, 9 * Block + 8192]) data.Add(parent, bytes);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Files))]
    public void Pieces_from_several_threads_make_the_file_and_are_read_back(string parent, long bytes)
    {
        string path = Path.Combine(parent, $"nbm-test-{Guid.NewGuid():N}");
        byte[] whole = RandomNumberGenerator.GetBytes((int)bytes);
        try
        {
            using (var writer = new BlockWriter(path, bytes))
            {
                Parallel.ForEach(Cut(bytes), new ParallelOptions { MaxDegreeOfParallelism = 4 }, piece => writer.Write(piece.Offset, whole.AsSpan(piece.Offset, piece.Bytes)));
                writer.Complete();
            }
            Assert.Equal(bytes, new FileInfo(path).Length);
            // Before anything else reads it: where writing went around the page cache, so do large reads.
            using var files = new CheckpointFiles(once: true);
            foreach ((int offset, int count) in (List<(int, int)>)[(0, (int)bytes), .. Cut(bytes), .. Cut(bytes, most: 3 * Block)])
            {
                byte[] read = new byte[count];
                files.Read(path, offset, read);
                Assert.True(read.AsSpan().SequenceEqual(whole.AsSpan(offset, count)), $"{count} bytes from {offset}");
            }
            var error = Assert.Throws<CheckpointException>(() => files.Read(path, bytes / 2, new byte[bytes + 1]));
            Assert.Contains($"{bytes / 2 + 1} bytes early", error.Message, StringComparison.Ordinal);
            Assert.Equal(whole, File.ReadAllBytes(path));
        }
        finally { File.Delete(path); }
    }

    [Fact]
    public void Only_what_the_system_holds_is_said_to_be_in_memory()
    {
        using var folder = new TempFolder();
        string path = folder["file"];
        byte[] whole = RandomNumberGenerator.GetBytes(16 * Block);
        using (var writer = new BlockWriter(path, whole.Length))
        {
            writer.Write(0, whole);
            writer.Complete();
        }
        using var file = File.OpenHandle(path);
        using PageCache? cache = PageCache.TryOpen(file);
        if (cache is null || DirectFile.TryOpenWrite(path) is not { } direct) return; // not Linux, or a file system in memory
        direct.Dispose();
        Assert.False(cache.Holds(0, whole.Length));
        using (FileStream reading = File.OpenRead(path)) reading.ReadExactly(new byte[2 * Block]);
        Assert.True(cache.Holds(0, 2 * Block));
        Assert.True(cache.Holds(4097, Block));
        Assert.False(cache.Holds(15 * Block, Block)); // the system reads ahead, but not so far
        Assert.False(cache.Holds(whole.Length, 1));
    }

    [Fact]
    public void A_file_that_is_there_is_not_written_over()
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["file"], "mine");
        Assert.Throws<IOException>(() => new BlockWriter(folder["file"], 10));
        Assert.Equal("mine", File.ReadAllText(folder["file"]));
    }

    [Fact]
    public void A_file_that_cannot_be_made_leaves_none_of_those_before_it_open()
    {
        using var folder = new TempFolder();
        FilePart[] parts = [new(folder["first"], [1, 2, 3], 0, [], 3), new(Path.Combine(folder["missing"], "second"), [1], 0, [], 1)];
        Assert.Throws<DirectoryNotFoundException>(() => ModelFiles.Write(parts, [], null, default));
        Assert.Empty(Directory.GetFileSystemEntries(folder.Path));
        if (OperatingSystem.IsLinux()) Assert.DoesNotContain(Directory.GetFiles("/proc/self/fd"), file => Target(file)?.StartsWith(folder.Path, StringComparison.Ordinal) == true);
    }

    // Null for a file that was closed meanwhile, by a test that runs beside this one.
    private static string? Target(string link)
    {
        try { return File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName; }
        catch (IOException) { return null; }
    }

    // All of it, in pieces of any size.
    private static List<(int Offset, int Bytes)> Cut(long bytes, int most = 700_000)
    {
        var random = new Random((int)bytes);
        List<(int, int)> pieces = [];
        for (int at = 0; at < bytes;)
        {
            int count = (int)Math.Min(bytes - at, 1 + random.Next(most));
            pieces.Add((at, count));
            at += count;
        }
        return pieces;
    }
}
