using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

public sealed class EngineLibraryTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-engine-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_engine_is_the_release_that_is_bound() => Assert.StartsWith(EngineLibrary.BoundVersion, EngineLibrary.Version, StringComparison.Ordinal);

    [Fact]
    public async Task Loading_from_many_threads_loads_once()
    {
        await Task.WhenAll(Enumerable.Range(0, 8).Select(static _ => Task.Run(static () => EngineLibrary.Load())));
        Assert.NotNull(EngineLibrary.Folder);
        EngineLibrary.Load(EngineKind.Cpu, EngineLibrary.Folder);
    }

    [Fact]
    public void A_second_engine_is_refused_with_both_folders()
    {
        EngineLibrary.Load();
        EngineException refusal = Assert.Throws<EngineException>(() => EngineLibrary.Load(EngineKind.Auto, _folder));
        Assert.Contains(EngineLibrary.Folder!, refusal.Message, StringComparison.Ordinal);
        Assert.Contains(_folder, refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_broken_library_is_refused_in_the_loaders_words()
    {
        Write("libggml-base.so", "libggml.v0.5.0.so", "libllama.v0.5.0.so");
        Assert.False(EngineLibrary.TryLoad(_folder, out string reason));
        Assert.Contains(Path.Combine(_folder, "libggml-base.so"), reason, StringComparison.Ordinal);
        Assert.Contains("file too short", reason, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', reason);
    }

    [Fact]
    public void A_folder_without_an_engine_says_what_is_missing()
    {
        Assert.False(EngineFolder.TryFind(Path.Combine(_folder, "absent"), out _, out string absent));
        Assert.Equal("there is no such folder", absent);
        Write("libggml-base.so", "libggml-cpu-x64.so", "libllama-common.so");
        Assert.False(EngineFolder.TryFind(_folder, out _, out string partial));
        Assert.Equal("it holds no ggml library", partial);
    }

    [Fact]
    public void Two_builds_in_one_folder_are_refused()
    {
        Write("libggml-base.so", "libggml.v0.5.0.so", "libggml.cuda.v0.5.0.so", "libllama.v0.5.0.so");
        Assert.False(EngineFolder.TryFind(_folder, out _, out string problem));
        Assert.Equal("it holds more than one ggml library: libggml.cuda.v0.5.0.so, libggml.v0.5.0.so", problem);
    }

    [Theory]
    [InlineData("libggml-base.so", "libggml.so", "libllama.so")]
    [InlineData("libggml-base.so", "libggml.v0.5.0.so", "libllama.v0.5.0.so")]
    [InlineData("libggml-base.so", "libggml.cuda.v0.5.0.so", "libllama.cuda.v0.5.0.so")]
    [InlineData("libggml-base.dylib", "libggml.metal.v0.5.0.dylib", "libllama.metal.v0.5.0.dylib")]
    [InlineData("ggml-base.dll", "ggml.dll", "llama.dll")]
    public void Every_build_is_found_in_load_order(params string[] names)
    {
        Write(["libggml-cpu-haswell.so", "libggml-cuda.so", "libllama-common.so", "LICENSE.txt", .. names]);
        Assert.True(EngineFolder.TryFind(_folder, out string[] files, out _));
        Assert.Equal(names, files.Select(Path.GetFileName));
    }

    [Fact]
    public void The_places_are_tried_in_the_documented_order()
    {
        string app = Path.Combine(_folder, "app") + Path.DirectorySeparatorChar;
        string flat = Path.TrimEndingDirectorySeparator(app), runtimes = Path.Combine(app, "runtimes", "linux-x64", "native");
        string cpu = Path.Combine(app, "engines", "cpu"), cuda = Path.Combine(app, "engines", "cuda");
        Assert.Equal([cpu, runtimes, flat], EngineFolder.Candidates(null, null, [app], "linux-x64", EngineKind.Auto, cudaDriver: false));
        Assert.Equal([cuda, cpu, runtimes, flat], EngineFolder.Candidates(null, "", [app], "linux-x64", EngineKind.Auto, cudaDriver: true));
        Assert.Equal([cuda, runtimes, flat], EngineFolder.Candidates(null, null, [app], "linux-x64", EngineKind.Cuda, cudaDriver: false));
        Assert.Equal([cpu, runtimes, flat, .. Places(_folder)], EngineFolder.Candidates(null, null, [app, _folder, flat, ""], "linux-x64", EngineKind.Auto, cudaDriver: false));
        Assert.Equal([_folder], EngineFolder.Candidates(null, _folder, [app], "linux-x64", EngineKind.Auto, cudaDriver: true));
        Assert.Equal([flat], EngineFolder.Candidates(flat, _folder, [app], "linux-x64", EngineKind.Auto, cudaDriver: true));
    }

    [Fact]
    public void Gpu_libraries_of_several_packages_are_tried_newest_first_and_cuda_before_vulkan()
    {
        Write("libggml-gpu-vulkan.so", "libggml-gpu-cuda12.so", "libggml-cpu-zen4.so", "libggml-gpu-cuda13.so");
        Assert.Equal(["libggml-gpu-cuda13.so", "libggml-gpu-cuda12.so", "libggml-gpu-vulkan.so"], EngineFolder.GpuLibraries(_folder).Select(Path.GetFileName));
    }

    [TestGpusFact]
    public async Task A_plug_in_of_another_version_is_passed_over_and_named_where_there_is_no_other()
    {
        string engine = Directory.CreateDirectory(Path.Combine(_folder, "cpu")).FullName, ours = Path.Combine(AppContext.BaseDirectory, "engines");
        foreach (string file in Directory.GetFiles(Path.Combine(ours, "cpu"))) File.CreateSymbolicLink(Path.Combine(engine, Path.GetFileName(file)), file);
        File.Copy(TestGpus.Library, Path.Combine(engine, "libnbm.so")); // a library, and none that says which version it is of
        Task<Tool.Result> Stream() => Tool.Run("nbm.dll", ["logits", TestFolders.Capitals, "--ids", "1,5", "--out", Path.Combine(_folder, "logits"), "--offload", "stream"], environment: new Dictionary<string, string> { ["NBM_ENGINE_PATH"] = engine });
        Tool.Result alone = await Stream();
        Assert.Contains(Path.Combine(engine, "libnbm.so") + " (it is of another version", Assert.Single(alone.ErrorLines), StringComparison.Ordinal);
        Assert.NotEqual(0, alone.ExitCode);
        File.Copy(Path.Combine(ours, "libnbm.so"), Path.Combine(_folder, "libnbm.so"));
        Tool.Result beside = await Stream();
        Assert.True(beside.ExitCode == 0, beside.Errors);
    }

    private static string[] Places(string folder) => [Path.Combine(folder, "engines", "cpu"), Path.Combine(folder, "runtimes", "linux-x64", "native"), folder];

    private void Write(params string[] names)
    {
        foreach (string name in names) File.WriteAllBytes(Path.Combine(_folder, name), []);
    }
}
