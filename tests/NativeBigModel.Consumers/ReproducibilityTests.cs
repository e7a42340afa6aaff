using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>A second pack of the same sources, compiled anew, gives the same bytes.</summary>
[Collection(PackagesGroup.Name)]
public sealed class ReproducibilityTests(Packages packages)
{
    [SourcesFact]
    public void Two_packs_give_the_same_bytes()
    {
        string again = Path.Combine(packages.Root, "again");
        Directory.Delete(Path.Combine(Repository.Artifacts, "pack"), recursive: true);
        PackVerb.Make(again, ["NativeBigModel", "NativeBigModel.Backend.Cpu"], Packages.Rids);
        string[] files = [.. Directory.EnumerateFiles(again).Select(static file => Path.GetFileName(file))];
        Assert.Equal([$"NativeBigModel.{Repository.Version}.nupkg", $"NativeBigModel.{Repository.Version}.snupkg", $"NativeBigModel.Backend.Cpu.{Repository.Version}.nupkg"], files.Order(StringComparer.Ordinal));
        Assert.All(files, file => Assert.True(File.ReadAllBytes(Path.Combine(again, file)).AsSpan().SequenceEqual(File.ReadAllBytes(Path.Combine(packages.Feed, file))), file));
    }
}
