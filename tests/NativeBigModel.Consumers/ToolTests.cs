using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>The command, installed as a .NET tool.</summary>
[Collection(PackagesGroup.Name)]
public sealed class ToolTests(Packages packages)
{
    [Fact]
    public void It_is_installed_and_runs_its_demonstration()
    {
        packages.Dotnet(packages.Root, "tool", "install", "NativeBigModel.Tool", "--version", Repository.Version, "--tool-path", "tools");
        string tool = Path.Combine(packages.Root, "tools", OperatingSystem.IsWindows() ? "nbm.exe" : "nbm");
        Packages.Result demo = packages.Run(tool, packages.Root, "demo");
        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        Assert.Contains(Packages.Answer.Trim(), demo.Output, StringComparison.Ordinal);
        Packages.Result streamed = packages.Run(tool, packages.Root, "run", Packages.Model, "--prompt", Packages.Prompt, "--offload", "stream", "--temperature", "0", "--json");
        Assert.True(streamed.ExitCode == 0, streamed.Errors);
        Assert.Contains("Washington", streamed.Output, StringComparison.Ordinal);
    }
}
