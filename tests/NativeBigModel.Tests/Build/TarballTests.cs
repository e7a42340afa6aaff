using System.Formats.Tar;
using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

public sealed class TarballTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-tarball-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private string Archive => Path.Combine(_folder, "package.tgz");

    private string Into => Path.Combine(_folder, "deep", "into");

    [Fact]
    public void Only_libraries_of_the_folder_and_licenses_are_unpacked()
    {
        TarballFile.Write(Archive,
            ("package/LICENSE", "terms"), ("package/bins/here/libllama.so", "code"), ("package/bins/here/fallback/libggml-cuda.so", "older"),
            ("package/bins/here/addon.node", "x"), ("package/bins/elsewhere/libother.so", "x"), ("package/index.js", "x"));
        Tarball.Unpack(Archive, TarballFile.Pin(Archive), Into);
        string[] files = [.. Directory.EnumerateFiles(Into, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(Into, f)).Order(StringComparer.Ordinal)];
        Assert.Equal(["LICENSE.engine.txt", Path.Combine("fallback", "libggml-cuda.so"), "libllama.so"], files);
        Assert.Equal("code", File.ReadAllText(Path.Combine(Into, "libllama.so")));
        if (!OperatingSystem.IsWindows()) Assert.True(File.GetUnixFileMode(Path.Combine(Into, "libllama.so")).HasFlag(UnixFileMode.OtherRead | UnixFileMode.OtherExecute));
    }

    [Theory]
    [InlineData("package/bins/here/../../../../evil.so")]
    [InlineData("package/bins/here/./evil.so")]
    [InlineData("package/bins/here//evil.so")]
    [InlineData("package/bins/here/..\\..\\evil.so")]
    [InlineData("../evil.so")]
    [InlineData("/evil.so")]
    [InlineData("other/bins/here/evil.so")]
    public void An_entry_that_leaves_the_package_is_refused(string name)
    {
        TarballFile.Write(Archive, (name, "evil"));
        BuildException refusal = Assert.Throws<BuildException>(() => Tarball.Unpack(Archive, TarballFile.Pin(Archive), Into));
        Assert.Contains("leaves the package", refusal.Message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFiles(_folder, "evil*", SearchOption.AllDirectories));
    }

    [Theory]
    [InlineData(TarEntryType.SymbolicLink)]
    [InlineData(TarEntryType.HardLink)]
    public void A_link_is_refused(TarEntryType type)
    {
        TarballFile.Write(Archive, new PaxTarEntry(type, "package/bins/here/libllama.so") { LinkName = "/etc/passwd" });
        BuildException refusal = Assert.Throws<BuildException>(() => Tarball.Unpack(Archive, TarballFile.Pin(Archive), Into));
        Assert.Contains("only plain files", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_package_without_a_library_is_refused()
    {
        TarballFile.Write(Archive, ("package/LICENSE", "terms"));
        Assert.Contains("no library", Assert.Throws<BuildException>(() => Tarball.Unpack(Archive, TarballFile.Pin(Archive), Into)).Message, StringComparison.Ordinal);
    }
}
