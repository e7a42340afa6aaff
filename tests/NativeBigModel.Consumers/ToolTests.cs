using System.IO.Compression;
using System.Reflection.PortableExecutable;
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

    // Code of a processor is what the header of managed native code points to.
    [Fact]
    public void It_is_compiled_ahead_for_each_platform_and_for_no_other()
    {
        foreach (string rid in (string[])[.. Packages.Rids, "any"])
        {
            using ZipArchive package = ZipFile.OpenRead(Path.Combine(packages.Feed, $"NativeBigModel.Tool.{rid}.{Repository.Version}.nupkg"));
            Assert.All(["NativeBigModel.dll", "NativeBigModel.Extensions.AI.dll", "NativeBigModel.Server.dll", "nbm.dll"], name =>
            {
                using var bytes = new MemoryStream();
                using (Stream packed = package.GetEntry($"tools/net10.0/{rid}/{name}")!.Open()) packed.CopyTo(bytes);
                bytes.Position = 0;
                using var assembly = new PEReader(bytes);
                Assert.Equal(rid != "any", assembly.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size > 0);
            });
        }
    }
}
