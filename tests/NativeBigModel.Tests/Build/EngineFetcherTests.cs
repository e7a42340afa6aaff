using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

public sealed class EngineFetcherTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-fetch-").FullName;
    private readonly Shelf _shelf;
    private readonly EngineLock _pins;

    public EngineFetcherTests()
    {
        string tarball = TarballFile.Write(Path.Combine(_folder, "shelf.tgz"), ("package/LICENSE", "terms"), ("package/bins/here/libllama.so", "code"));
        _shelf = new Shelf(tarball);
        PinnedPackage pin = TarballFile.Pin(tarball);
        _pins = new EngineLock("engine", "1.2.3", pin, new() { ["rid"] = new() { ["cpu"] = [pin] } });
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Root => Path.Combine(_folder, "engine");

    private string Fetch(EngineLock? pins = null) => new EngineFetcher(pins ?? _pins, Root, _shelf, TextWriter.Null).Fetch("rid", "cpu");

    [Fact]
    public void What_is_there_is_not_fetched_again()
    {
        string folder = Fetch();
        Assert.Equal(Path.Combine(Root, "cpu-1.2.3"), folder);
        Assert.Equal("code", File.ReadAllText(Path.Combine(folder, "libllama.so")));
        Assert.Equal(folder, Fetch());
        Assert.Equal(1, _shelf.Downloads);
        Assert.Equal([".lock", "cpu-1.2.3"], Entries());
    }

    [Fact]
    public void A_damaged_engine_is_fetched_again()
    {
        File.AppendAllText(Path.Combine(Fetch(), "libllama.so"), "damage");
        Assert.Equal("code", File.ReadAllText(Path.Combine(Fetch(), "libllama.so")));
        Assert.Equal(2, _shelf.Downloads);
    }

    [Fact]
    public void A_wrong_hash_is_refused_with_both_and_leaves_nothing()
    {
        PinnedPackage right = _pins.Sources, wrong = right with { Integrity = "sha512-" + Convert.ToBase64String(new byte[64]) };
        BuildException refusal = Assert.Throws<BuildException>(() => Fetch(_pins with { Platforms = new() { ["rid"] = new() { ["cpu"] = [wrong] } } }));
        Assert.Contains($"pinned {wrong.Integrity}, got {right.Integrity}", refusal.Message, StringComparison.Ordinal);
        Assert.Equal([".lock"], Entries());
    }

    [Fact]
    public void An_interrupted_fetch_leaves_nothing_that_looks_finished()
    {
        _shelf.Interrupt = true;
        Assert.Throws<BuildException>(() => Fetch());
        Assert.Equal([".lock"], Entries());
        Directory.CreateDirectory(Path.Combine(Root, ".work", "cpu"));
        Directory.CreateDirectory(Path.Combine(Root, "cpu-1.2.3"));
        _shelf.Interrupt = false;
        Assert.True(File.Exists(Path.Combine(Fetch(), "libllama.so")));
        Assert.Equal([".lock", "cpu-1.2.3"], Entries());
    }

    [Fact]
    public async Task Builds_at_the_same_time_fetch_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => Fetch())));
        Assert.Equal(1, _shelf.Downloads);
    }

    [Fact]
    public void Npms_own_reason_is_kept()
    {
        Assert.Equal("E404: Not Found - GET somewhere", Npm.Reason("""{"error":{"code":"E404","summary":"Not Found - GET somewhere","detail":"x"}}""", ""));
        Assert.Equal("npm error it broke", Npm.Reason("", "npm error code X\nnpm error it broke\nnpm error\nnpm error A complete log of this run can be found in: y\n"));
        Assert.Equal("npm gave no reason", Npm.Reason("[]", ""));
    }

    private string[] Entries() => [.. Directory.EnumerateFileSystemEntries(Root).Select(static e => Path.GetFileName(e)).Order(StringComparer.Ordinal)];

    private sealed class Shelf(string tarball) : IPackageSource
    {
        private int _downloads;

        public int Downloads => _downloads;

        public bool Interrupt { get; set; }

        public string Download(string package, string version, string folder)
        {
            Interlocked.Increment(ref _downloads);
            if (Interrupt) throw new BuildException("interrupted");
            string copy = Path.Combine(folder, "copy.tgz");
            File.Copy(tarball, copy);
            return copy;
        }
    }
}
