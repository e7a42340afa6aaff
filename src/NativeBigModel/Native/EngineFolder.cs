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

    /// <summary>
    /// The folders to try, in order. A folder that the caller or NBM_ENGINE_PATH names is the only one: whoever names one does not want another to be taken quietly.
    /// </summary>
    public static IReadOnlyList<string> Candidates(string? named, string? environment, string baseDirectory, string rid, EngineKind kind, bool cudaDriver)
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
            .. kinds.Select(one => Path.Combine(baseDirectory, "engines", one)),
            Path.Combine(baseDirectory, "runtimes", rid, "native"),
            Path.TrimEndingDirectorySeparator(baseDirectory),
        ];
    }

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

    [GeneratedRegex(@"^(lib)?(?<name>ggml-base|ggml|llama)(\.[^/\\]+)?\.(so|dll|dylib)$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture)]
    private static partial Regex LibraryName();
}
