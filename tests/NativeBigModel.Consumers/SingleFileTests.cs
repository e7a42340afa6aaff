using System.Diagnostics;
using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>The command as one executable file.</summary>
[Collection(PackagesGroup.Name)]
public sealed class SingleFileTests(Packages packages)
{
    [SourcesFact]
    public void It_runs_its_demonstration_where_there_is_no_dotnet()
    {
        string folder = Path.Combine(packages.Root, "nbm"), nowhere = Directory.CreateDirectory(Path.Combine(packages.Root, "nowhere")).FullName;
        SingleVerb.Make(folder, Platform.Rid);
        string file = Assert.Single(Directory.GetFiles(folder, "*", SearchOption.AllDirectories));
        ProcessStartInfo start = new(file, ["demo"]) { WorkingDirectory = nowhere, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment.Clear();
        foreach (string name in (string[])["PATH", "HOME", "DOTNET_ROOT", "DOTNET_BUNDLE_EXTRACT_BASE_DIR"]) start.Environment[name] = nowhere;
        Packages.Result demo = Packages.Finish(start);
        Assert.Equal((0, ""), (demo.ExitCode, demo.Errors));
        Assert.Contains(Packages.Answer.Trim(), demo.Output, StringComparison.Ordinal);
    }
}
