namespace NativeBigModel.Build;

/// <summary>A package with native libraries.</summary>
/// <param name="Package">Its name; packaging/PACKAGE has its project and README.</param>
/// <param name="Kind">The engine, as native/llama.lock.json has it.</param>
/// <param name="Library">The one file of that engine that the package adds to the CPU engine, from which the others do not differ; null: all that are used.</param>
/// <param name="Name">That file's name in the package, with LIBRARY for the platform's form of it. All packages' files lie in one folder of an application.</param>
/// <param name="System">The only operating system it is for, as platforms' names begin; empty for all. nuget.org takes packages of up to 250 MB, and a CUDA library has over 130.</param>
internal sealed record Backend(string Package, string Kind, string? Library = null, string? Name = null, string System = "")
{
    public static Backend Cpu { get; } = new("NativeBigModel.Backend.Cpu", "cpu");

    public static Backend Cuda13 { get; } = new("NativeBigModel.Backend.Cuda13", "cuda", "ggml-cuda", "ggml-gpu-cuda13", "linux");

    private static Backend Cuda12 { get; } = new("NativeBigModel.Backend.Cuda12", "cuda", "fallback/ggml-cuda", "ggml-gpu-cuda12", "linux");

    public static IReadOnlyList<Backend> All { get; } =
    [
        Cpu,
        Cuda13,
        Cuda13 with { Package = "NativeBigModel.Backend.Cuda13.Windows", System = "win" },
        Cuda12,
        Cuda12 with { Package = "NativeBigModel.Backend.Cuda12.Windows", System = "win" },
        new("NativeBigModel.Backend.Vulkan", "vulkan", "ggml-vulkan", "ggml-gpu-vulkan"),
    ];

    /// <summary>The platforms for which its engine is pinned, all or as far as they are among <paramref name="rids"/>.</summary>
    public IEnumerable<string> Platforms(EngineLock pins, IReadOnlyCollection<string> rids) => pins.Platforms.Keys.Where(rid => pins.Has(rid, Kind) && rid.StartsWith(System, StringComparison.Ordinal) && (rids.Count == 0 || rids.Contains(rid))).Order(StringComparer.Ordinal);

    /// <summary>What the package takes of an engine's files: each file's path, and its name in the package.</summary>
    public IEnumerable<(string Path, string Name)> Select(IEnumerable<string> files, string rid)
    {
        if (Library is null) return files.Where(static file => !file.Contains('/') && IsLibrary(file) && !IsUnused(file)).Select(static file => (file, file));
        string path = LibraryFile(Library, rid);
        return files.Contains(path) ? [(path, LibraryFile(Name!, rid))] : throw new BuildException($"{Package}: the {Kind} engine for {rid} holds no {path}");
    }

    /// <summary>The platform's file name of a library, which may be in a folder.</summary>
    public static string LibraryFile(string library, string rid) => rid.Split('-')[0] switch
    {
        "win" => library + ".dll",
        "osx" => Prefixed(library) + ".dylib",
        _ => Prefixed(library) + ".so",
    };

    /// <summary>The name of the file with what debuggers read of a library.</summary>
    public static string SymbolsFile(string library) => library + ".debug";

    public static bool IsLibrary(string file) => Path.GetExtension(file) is ".so" or ".dll" or ".dylib";

    // llama.cpp's library for its own programs: the chat library has what is needed of it.
    private static bool IsUnused(string file) => Path.GetFileNameWithoutExtension(file) is "libllama-common" or "llama-common";

    private static string Prefixed(string library) => library.Insert(library.LastIndexOf('/') + 1, "lib");
}
