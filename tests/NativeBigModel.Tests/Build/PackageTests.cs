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
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        string[] Names(string rid) => [.. Backend.All.Where(backend => backend.Library is not null && backend.Platforms(pins, [rid]).Any()).Select(backend => backend.Select([Backend.LibraryFile(backend.Library!, rid)], rid).Single().Name)];
        Assert.Equal(["libggml-gpu-cuda13.so", "libggml-gpu-cuda12.so", "libggml-gpu-vulkan.so"], Names("linux-x64"));
        Assert.Equal(["ggml-gpu-cuda13.dll", "ggml-gpu-cuda12.dll", "ggml-gpu-vulkan.dll"], Names("win-x64"));
        string[] engine = ["libllama-common.so", "libggml-base.so", "libllama.v0.5.0.so", "LICENSE.txt", "engine.json", "fallback/libggml-cuda.so"];
        Assert.Equal(["libggml-base.so", "libllama.v0.5.0.so"], Backend.Cpu.Select(engine, "linux-x64").Select(static file => file.Name));
    }

    [Fact]
    public void The_library_looks_for_the_names_that_packages_use()
    {
        foreach (Backend backend in Backend.All.Where(static backend => backend.Library is not null)) File.WriteAllText(Path.Combine(_folder, Backend.LibraryFile(backend.Name!, Platform.Rid)), "");
        Assert.Equal(3, EngineFolder.GpuLibraries(_folder).Count());
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
        Spdx.Write(list, "Package", "0.1.0", DateTimeOffset.UnixEpoch, [new SpdxFile("runtimes/r/native/libx.so", file, origin, Licenses.Of("libnbm.so", "linux-x64").WithCudaRuntime())]);
        JsonElement root = JsonDocument.Parse(File.ReadAllText(list)).RootElement;
        JsonElement entry = root.GetProperty("files")[0];
        Assert.Equal("./runtimes/r/native/libx.so", entry.GetProperty("fileName").GetString());
        // SHA-256 of "abc", FIPS 180-2, appendix B.1.
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", entry.GetProperty("checksums")[0].GetProperty("checksumValue").GetString());
        Assert.Equal("pkg:npm/%40scope/x@1.2.3", root.GetProperty("packages")[1].GetProperty("externalRefs")[0].GetProperty("referenceLocator").GetString());
        Assert.Equal("1970-01-01T00:00:00Z", root.GetProperty("creationInfo").GetProperty("created").GetString());
        Assert.Equal("MIT AND LicenseRef-NVIDIA-CUDA-Runtime", entry.GetProperty("licenseConcluded").GetString());
        Assert.Equal("LicenseRef-NVIDIA-CUDA-Runtime", root.GetProperty("hasExtractedLicensingInfos")[0].GetProperty("licenseId").GetString());
        string[] relations = [.. root.GetProperty("relationships").EnumerateArray().Select(static relation => $"{relation.GetProperty("spdxElementId")} {relation.GetProperty("relationshipType")} {relation.GetProperty("relatedSpdxElement")}")];
        Assert.Contains("SPDXRef-File-0 GENERATED_FROM SPDXRef-Origin-0", relations);
    }

    [Theory]
    [InlineData("linux-x64", "libllama.v0.5.0.so", "libggml.v0.5.0.so", "libggml-base.so", "libggml-cpu-haswell.so", "libggml-gpu-cuda12.so", "libggml-gpu-cuda13.so", "libggml-gpu-vulkan.so", "libnbm.so", "libnbm_chat.so")]
    [InlineData("linux-arm64", "libggml-cpu-armv8.2_1.so", "libnbm.so", "libnbm_chat.so")]
    [InlineData("win-x64", "llama.v0.4.0.dll", "ggml.v0.4.0.dll", "ggml-base.dll", "ggml-cpu-zen4.dll", "ggml-gpu-cuda12.dll", "ggml-gpu-cuda13.dll", "ggml-gpu-vulkan.dll", "nbm.dll", "nbm_chat.dll")]
    public void What_a_native_file_holds_of_others_is_in_the_notices(string rid, params string[] files)
    {
        string notices = File.ReadAllText(Path.Combine(Repository.Root, "THIRD-PARTY-NOTICES.md"));
        foreach (string part in files.SelectMany(file => Licenses.Of(file, rid).WithCudaRuntime().Parts)) Assert.Contains($"| {part}", notices, StringComparison.Ordinal);
        foreach (PinnedPackage pin in EngineLock.Read(Repository.EngineLockFile).Platforms[rid].Values.SelectMany(static pins => pins)) Assert.Contains($"| {pin.Package} |", notices, StringComparison.Ordinal);
    }

    [Fact]
    public void A_native_file_of_unknown_licence_is_not_packed() =>
        Assert.StartsWith("runtimes/linux-x64/native/libnew.so: nothing is known of its licence", Assert.Throws<BuildException>(() => Licenses.Of("libnew.so", "linux-x64")).Message, StringComparison.Ordinal);
}
