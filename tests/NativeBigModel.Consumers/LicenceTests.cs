using System.IO.Compression;
using System.Text.Json;
using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>What the packages say of what they hold.</summary>
[Collection(PackagesGroup.Name)]
public sealed class LicenceTests(Packages packages)
{
    [Fact]
    public void Every_native_file_is_in_the_list_of_materials_and_its_licences_are_in_the_package()
    {
        using ZipArchive package = ZipFile.OpenRead(Path.Combine(packages.Feed, $"NativeBigModel.Backend.Cpu.{Repository.Version}.nupkg"));
        string[] paths = [.. package.Entries.Select(static entry => entry.FullName)];
        string[] natives = [.. paths.Where(static path => path.StartsWith("runtimes/", StringComparison.Ordinal) || path.StartsWith("symbols/", StringComparison.Ordinal)).Order(StringComparer.Ordinal)];
        Assert.Contains(natives, static path => path.Contains("nbm_chat", StringComparison.Ordinal));
        using Stream list = package.Entries.Single(static entry => entry.Name == "manifest.spdx.json").Open();
        using JsonDocument materials = JsonDocument.Parse(list);
        (string Path, string Licence)[] listed = [.. materials.RootElement.GetProperty("files").EnumerateArray().Select(static file => (file.GetProperty("fileName").GetString()![2..], file.GetProperty("licenseConcluded").GetString()!))];
        Assert.Equal(natives, listed.Select(static file => file.Path).Order(StringComparer.Ordinal));
        Assert.All(listed, static file => Assert.StartsWith("MIT", file.Licence, StringComparison.Ordinal));
        foreach (string path in (string[])["THIRD-PARTY-NOTICES.md", "licenses/LICENSE.NativeBigModel.txt", "README.md", .. Packages.Rids.Select(static rid => $"licenses/LICENSE.{rid}.txt")]) Assert.Contains(path, paths);
    }

    [Fact]
    public void The_tool_carries_the_licences_of_what_it_carries()
    {
        using ZipArchive tool = ZipFile.OpenRead(Path.Combine(packages.Feed, $"NativeBigModel.Tool.{Platform.Rid}.{Repository.Version}.nupkg"));
        foreach (string name in (string[])["THIRD-PARTY-NOTICES.md", "LICENSE.NativeBigModel.txt", $"LICENSE.{Platform.Rid}.txt"]) Assert.Contains(tool.Entries, entry => entry.Name == name);
    }
}
