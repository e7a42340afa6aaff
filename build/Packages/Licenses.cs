using System.Text.RegularExpressions;

namespace NativeBigModel.Build;

/// <summary>Under which licences a native file is passed on, and what THIRD-PARTY-NOTICES.md must tell for it.</summary>
/// <param name="Expression">An SPDX expression.</param>
/// <param name="Parts">What is inside of others' work, by the names in THIRD-PARTY-NOTICES.md.</param>
internal sealed record License(string Expression, string[] Parts)
{
    /// <summary>The same file with NVIDIA's runtime linked into it.</summary>
    public License WithCudaRuntime() => new($"{Expression} AND {Licenses.Nvidia}", [.. Parts, Licenses.CudaRuntime]);
}

/// <summary>The one list of native files and their licences. A file that no line of it knows is not packed.</summary>
internal static class Licenses
{
    /// <summary>NVIDIA's terms for its runtime library, which have no name in SPDX's list.</summary>
    public const string Nvidia = "LicenseRef-NVIDIA-CUDA-Runtime";

    /// <summary>As THIRD-PARTY-NOTICES.md calls it.</summary>
    public const string CudaRuntime = "CUDA Runtime";

    private const string Llama = "llama.cpp and ggml", TinyBlas = "tinyBLAS", Yarn = "YaRN", Cub = "CUB", Json = "JSON for Modern C++", Gcc = "libstdc++, libgcc", Mingw = "mingw-w64";
    private const string Gpl = "GPL-3.0-or-later WITH GCC-exception-3.1";

    // The files' names, the platforms' beginning.
    private static readonly (string Names, string Rids, License License)[] s_all =
    [
        ("ggml|ggml-base|llama", "", new("MIT", [Llama])),
        ("ggml-cpu-[a-z0-9._]+", "", new("MIT", [Llama, TinyBlas, Yarn])),
        ("ggml-gpu-vulkan", "", new("MIT", [Llama, Yarn])),
        ("ggml-gpu-cuda13", "win", new License("MIT AND BSD-3-Clause", [Llama, Cub, Yarn]).WithCudaRuntime()),
        ("ggml-gpu-cuda1[23]", "", new("MIT AND BSD-3-Clause", [Llama, Cub, Yarn])),
        ("nbm", "win", new($"MIT AND {Gpl} AND ZPL-2.1", [Gcc, Mingw])),
        ("nbm", "", new("MIT", [])),
        ("nbm_chat", "win", new($"MIT AND {Gpl} AND ZPL-2.1", [Llama, Json, Gcc, Mingw])),
        ("nbm_chat", "", new($"MIT AND {Gpl}", [Llama, Json, Gcc])),
    ];

    /// <summary>The licence of a file of a package.</summary>
    /// <param name="name">Its name there.</param>
    /// <param name="rid">The platform.</param>
    /// <exception cref="BuildException">Nothing is known of it.</exception>
    public static License Of(string name, string rid)
    {
        foreach ((string names, string rids, License license) in s_all)
            if (rid.StartsWith(rids, StringComparison.Ordinal) && Regex.IsMatch(name, $@"^(lib)?({names})(\.v[0-9.]+)?\.(so|dll|dylib)$")) return license;
        throw new BuildException($"runtimes/{rid}/native/{name}: nothing is known of its licence: it needs a line in build/Packages/Licenses.cs, and what that names in THIRD-PARTY-NOTICES.md");
    }
}
