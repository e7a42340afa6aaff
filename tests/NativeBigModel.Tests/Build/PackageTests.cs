using System.Text.Json;
using NativeBigModel.Build;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Build;

public sealed class PackageTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-package-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void No_two_packages_have_a_file_of_one_name()
    {
        string[] names = [.. Backend.All.Where(static backend => backend.Library is not null).Select(static backend => backend.Select([Backend.LibraryFile(backend.Library!, "linux-x64")], "linux-x64").Single().Name)];
        Assert.Equal(["libggml-gpu-cuda13.so", "libggml-gpu-cuda12.so", "libggml-gpu-vulkan.so"], names);
        string[] engine = ["libggml-base.so", "libllama.v0.5.0.so", "LICENSE.txt", "engine.json", "fallback/libggml-cuda.so"];
        Assert.Equal(["libggml-base.so", "libllama.v0.5.0.so"], Backend.Cpu.Select(engine, "linux-x64").Select(static file => file.Name));
    }

    [Fact]
    public void The_library_looks_for_the_names_that_packages_use()
    {
        foreach (Backend backend in Backend.All.Where(static backend => backend.Library is not null)) File.WriteAllText(Path.Combine(_folder, Backend.LibraryFile(backend.Name!, Platform.Rid)), "");
        Assert.Equal(Backend.All.Count - 1, EngineFolder.GpuLibraries(_folder).Count());
    }

    [Fact]
    public void An_engine_without_the_file_is_refused_by_name()
    {
        BuildException refusal = Assert.Throws<BuildException>(() => Backend.Cuda13.Select(["libllama.so"], "linux-x64").ToArray());
        Assert.Equal("NativeBigModel.Backend.Cuda13: the cuda engine for linux-x64 holds no libggml-cuda.so", refusal.Message);
    }

    [Theory]
    [InlineData("fallback/ggml-cuda", "linux-x64", "fallback/libggml-cuda.so")]
    [InlineData("ggml-cuda", "win-x64", "ggml-cuda.dll")]
    [InlineData("ggml-metal", "osx-arm64", "libggml-metal.dylib")]
    public void Libraries_are_named_as_the_platform_has_it(string library, string rid, string file) => Assert.Equal(file, Backend.LibraryFile(library, rid));

    [Fact]
    public void The_list_of_materials_names_each_file_with_its_hash_and_origin()
    {
        string file = Path.Combine(_folder, "libx.so"), list = Path.Combine(_folder, "a", "manifest.spdx.json");
        File.WriteAllText(file, "abc");
        var origin = new SpdxOrigin("@scope/x", "1.2.3", "sha512-x", "MIT");
        Spdx.Write(list, "Package", "0.1.0", DateTimeOffset.UnixEpoch, [new SpdxFile("runtimes/r/native/libx.so", file, origin)]);
        JsonElement root = JsonDocument.Parse(File.ReadAllText(list)).RootElement;
        JsonElement entry = root.GetProperty("files")[0];
        Assert.Equal("./runtimes/r/native/libx.so", entry.GetProperty("fileName").GetString());
        // SHA-256 of "abc", FIPS 180-2, appendix B.1.
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", entry.GetProperty("checksums")[0].GetProperty("checksumValue").GetString());
        Assert.Equal("pkg:npm/%40scope/x@1.2.3", root.GetProperty("packages")[1].GetProperty("externalRefs")[0].GetProperty("referenceLocator").GetString());
        Assert.Equal("1970-01-01T00:00:00Z", root.GetProperty("creationInfo").GetProperty("created").GetString());
        string[] relations = [.. root.GetProperty("relationships").EnumerateArray().Select(static relation => $"{relation.GetProperty("spdxElementId")} {relation.GetProperty("relationshipType")} {relation.GetProperty("relatedSpdxElement")}")];
        Assert.Contains("SPDXRef-File-0 GENERATED_FROM SPDXRef-Origin-0", relations);
    }
}
