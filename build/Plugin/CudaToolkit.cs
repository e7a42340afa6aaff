using System.Text.RegularExpressions;

namespace NativeBigModel.Build;

/// <summary>
/// NVIDIA's compiler, for native/dispatch.cu. Where none is installed the plug-in is built without it, unless NBM_FETCH_NVCC asks for Debian's packages: they
/// are downloaded (0.9 GB) and unpacked into the artifacts folder, and nothing is installed.
/// </summary>
internal static partial class CudaToolkit
{
    private const string Purpose = "fetches Debian's CUDA compiler";

    private static readonly string[] s_packages = ["nvidia-cuda-toolkit", "nvidia-cuda-dev", "libnvvm4"];

    // What compiling against the static runtime needs of 3 GB.
    private static readonly string[] s_files = ["./usr/lib/nvidia-cuda-toolkit/*", "./usr/include/*", "./usr/bin/*", "*/libcudart_static.a", "*/libcudadevrt.a"];

    /// <summary>CMake's options for the compiler that was fetched; none where one is installed or none is asked for.</summary>
    public static IReadOnlyList<string> Options(string artifacts)
    {
        if (Environment.GetEnvironmentVariable("NBM_FETCH_NVCC") is not "1") return [];
        string root = Path.Combine(artifacts, "nvcc");
        if (!Directory.Exists(root)) Fetch(root);
        return [$"-DNBM_NVCC={Path.Combine(root, "usr/lib/nvidia-cuda-toolkit/bin/nvcc")}", "-DNBM_NVCC_FLAGS=-allow-unsupported-compiler"];
    }

    private static void Fetch(string root)
    {
        string work = $"{root}.{Environment.ProcessId}";
        try
        {
            foreach (string folder in (string[])["lists/partial", "cache/archives/partial", "debs", "root"]) Directory.CreateDirectory(Path.Combine(work, folder));
            File.WriteAllText(Path.Combine(work, "sources.list"), Sources(Command.Run("apt-get", Purpose, "update", "--print-uris")));
            string[] apt = ["-o", $"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null", "-o", $"Dir::State::Lists={work}/lists", "-o", $"Dir::Cache={work}/cache"];
            Command.Run("apt-get", Purpose, [.. apt, "update"]);
            // apt-get downloads into the present folder.
            Command.Run("sh", Purpose, ["-c", "cd \"$1\" && shift && exec apt-get \"$@\"", "sh", Path.Combine(work, "debs"), .. apt, "download", .. s_packages]);
            foreach (string package in Directory.GetFiles(Path.Combine(work, "debs")))
                Command.Run("sh", Purpose, ["-c", "dpkg-deb --fsys-tarfile \"$1\" | tar -x -C \"$2\" --wildcards \"$3\" \"$4\" \"$5\" \"$6\" \"$7\" 2>/dev/null || true", "sh", package, Path.Combine(work, "root"), .. s_files]);
            WriteProfile(Path.Combine(work, "root"), root);
            Directory.Move(Path.Combine(work, "root"), root);
        }
        finally
        {
            if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
        }
    }

    // The archive and release that this system uses, with the components that hold the compiler. Updates and security have names with a hyphen.
    private static string Sources(string addresses) => Release().Match(addresses) is { Success: true } release
        ? $"deb {release.Groups["archive"].Value} {release.Groups["suite"].Value} main contrib non-free\n"
        : throw new BuildException("apt-get names no archive to fetch the CUDA compiler from");

    [GeneratedRegex("^'(?<archive>[^']*)/dists/(?<suite>[^'/-]+)/InRelease'", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Release();

    // The package's own profile names the places where it would be installed.
    private static void WriteProfile(string from, string root)
    {
        string profile = Path.Combine(from, "usr/lib/nvidia-cuda-toolkit/bin/nvcc.profile");
        if (!File.Exists(Path.Combine(Path.GetDirectoryName(profile)!, "cicc"))) throw new BuildException("the CUDA compiler's packages do not hold what they used to");
        File.Delete(profile);
        File.WriteAllText(profile, $"""
            NVVMIR_LIBRARY_DIR = {root}/usr/lib/nvidia-cuda-toolkit/libdevice
            PATH += {root}/usr/lib/nvidia-cuda-toolkit/bin:{root}/usr/bin:
            INCLUDES += "-I{root}/usr/include"

            """);
    }
}
