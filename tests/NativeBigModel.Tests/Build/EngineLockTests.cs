using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

public sealed class EngineLockTests
{
    private static string Json => File.ReadAllText(Repository.EngineLockFile);

    [Fact]
    public void The_repositorys_own_lock_file_reads()
    {
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        Assert.True(pins.Has("linux-x64", "cpu") && pins.Has("linux-x64", "cuda") && pins.Has("linux-x64", "vulkan") && pins.Has("linux-arm64", "cpu"));
        Assert.Equal(2, pins.Packages("linux-x64", "cuda").Length);
    }

    [Fact]
    public void An_unsupported_platform_is_answered_with_the_supported_ones()
    {
        BuildException refusal = Assert.Throws<BuildException>(() => EngineLock.Read(Repository.EngineLockFile).Packages("osx-x64", "cpu"));
        Assert.Contains("no cpu engine is pinned for osx-x64 (there is: linux-x64 cpu,", refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }

    [Theory]
    [InlineData("\"version\": \"3.22.1\",", "", "version")]
    [InlineData("\"licenses\"", "\"licences\"", "licences")]
    [InlineData("sha512-5u", "sha256-5u", "sha256-5u")]
    [InlineData("sha512-5uCC", "sha512-", "64 bytes")]
    [InlineData("bins/linux-x64\"", "../bins\"", "leaves the package")]
    [InlineData("{", "", "JSON")]
    public void A_damaged_lock_file_is_refused_in_one_line(string from, string to, string complaint)
    {
        int at = Json.IndexOf(from, StringComparison.Ordinal);
        BuildException refusal = Assert.Throws<BuildException>(() => EngineLock.Parse(Json.Remove(at, from.Length).Insert(at, to), "llama.lock.json"));
        Assert.StartsWith("llama.lock.json: ", refusal.Message, StringComparison.Ordinal);
        Assert.Contains(complaint, refusal.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refusal.Message);
    }
}
