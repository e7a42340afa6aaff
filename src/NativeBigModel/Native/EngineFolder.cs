using System.Runtime.InteropServices;
using System.Text.RegularExpressions;

namespace NativeBigModel.Native;

/// <summary>Which build of the engine.</summary>
internal enum EngineKind
{
    /// <summary>CUDA where NVIDIA's driver works and the build is there, else CPU.</summary>
    Auto,
    Cpu,
    Cuda,
    Vulkan,
}

/// <summary>Where an engine may lie, and which files in a folder are one. Pure but for listing the folder.</summary>
internal static partial class EngineFolder
{
    /// <summary>The three libraries of a build, in the order in which each needs the ones before.</summary>
    public static readonly string[] Libraries = [EngineLibrary.GgmlBase, EngineLibrary.Ggml, EngineLibrary.Llama];

    // In the order of preference. A backend package's names are its own, so that any number of them can lie in one folder and ggml, which loads what it knows by name, leaves
    // the choice to this list. What loads and finds no GPU costs little; what is missing costs nothing.
    private static readonly string[] s_gpuLibraries =
        ["ggml-cuda", "ggml-gpu-cuda13", Path.Combine("fallback", "ggml-cuda"), "ggml-gpu-cuda12", "ggml-vulkan", "ggml-gpu-vulkan"];

    /// <summary>This platform as packages name it. The runtime's own identifier may name a distribution.</summary>
    public static string Rid { get; } =
        $"{(OperatingSystem.IsWindows() ? "win" : OperatingSystem.IsMacOS() ? "osx" : IsMusl() ? "linux-musl" : "linux")}-{RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant()}";

    /// <summary>
    /// The folders to try, in order. A folder that the caller or NBM_ENGINE_PATH names is the only one: whoever names one does not want another to be taken quietly.
    /// </summary>
    /// <param name="named">The caller's folder.</param>
    /// <param name="environment">The value of NBM_ENGINE_PATH.</param>
    /// <param name="places">Where libraries of the application are: its own folder, then that of this assembly where it is another, as in a plug-in.</param>
    /// <param name="rid">The platform.</param>
    /// <param name="kind">Which build.</param>
    /// <param name="cudaDriver">Whether NVIDIA's driver works.</param>
    public static IReadOnlyList<string> Candidates(string? named, string? environment, IEnumerable<string> places, string rid, EngineKind kind, bool cudaDriver)
    {
        if (!string.IsNullOrEmpty(named)) return [Path.GetFullPath(named)];
        if (!string.IsNullOrEmpty(environment)) return [Path.GetFullPath(environment)];
        string[] kinds = kind switch
        {
            EngineKind.Auto => cudaDriver ? ["cuda", "cpu"] : ["cpu"],
            EngineKind.Cuda => ["cuda"],
            EngineKind.Vulkan => ["vulkan"],
            _ => ["cpu"],
        };
        return
        [
            .. places.Where(static place => place.Length > 0).Select(Path.TrimEndingDirectorySeparator).Distinct().SelectMany(place => (IEnumerable<string>)
            [
                .. kinds.Select(one => Path.Combine(place, "engines", one)),
                Path.Combine(place, "runtimes", rid, "native"),
                place,
            ]),
        ];
    }

    /// <summary>The libraries in an engine's folder that bring GPUs, in the order to try them.</summary>
    public static IEnumerable<string> GpuLibraries(string folder) =>
        from name in s_gpuLibraries
        let plain = Path.Combine(folder, name + Suffix)
        from path in new[] { Path.Combine(Path.GetDirectoryName(plain)!, "lib" + Path.GetFileName(plain)), plain }
        where File.Exists(path)
        select path;

    /// <summary>The folders in which the .NET host looks for libraries of packages, as far as they hold an engine: where a single file was extracted, or the package cache of a build.</summary>
    public static IEnumerable<string> HostFolders() =>
        (AppContext.GetData("NATIVE_DLL_SEARCH_DIRECTORIES") as string ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Where(static folder => TryFind(folder, out _, out _));

    /// <summary>The files of the three libraries, or why the folder is not one engine. Builds name them libllama.so, libllama.v0.5.0.so, libllama.cuda.v0.5.0.so, llama.dll.</summary>
    public static bool TryFind(string folder, out string[] files, out string problem)
    {
        files = [];
        if (!Directory.Exists(folder))
        {
            problem = "there is no such folder";
            return false;
        }
        ILookup<string, string> byLibrary = Directory.EnumerateFiles(folder)
            .Order(StringComparer.Ordinal)
            .Select(path => (Path: path, Match: LibraryName().Match(Path.GetFileName(path))))
            .Where(static file => file.Match.Success)
            .ToLookup(static file => file.Match.Groups["name"].Value, static file => file.Path);
        foreach (string library in Libraries)
        {
            string[] found = [.. byLibrary[library]];
            if (found.Length == 1)
            {
                files = [.. files, found[0]];
                continue;
            }
            problem = found.Length == 0
                ? $"it holds no {library} library"
                : $"it holds more than one {library} library: {string.Join(", ", found.Select(Path.GetFileName))}";
            return false;
        }
        problem = "";
        return true;
    }

    /// <summary>Whether a file is the library that every build of ggml has, ours or another's.</summary>
    public static bool IsGgmlBase(string path) => LibraryName().Match(Path.GetFileName(path)).Groups["name"].Value == EngineLibrary.GgmlBase;

    private static string Suffix => OperatingSystem.IsWindows() ? ".dll" : OperatingSystem.IsMacOS() ? ".dylib" : ".so";

    private static bool IsMusl() => RuntimeInformation.RuntimeIdentifier is { } rid && (rid.Contains("musl", StringComparison.Ordinal) || rid.StartsWith("alpine", StringComparison.Ordinal));

    [GeneratedRegex(@"^(lib)?(?<name>ggml-base|ggml|llama)(\.[^/\\]+)?\.(so|dll|dylib)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex LibraryName();
}
