namespace NativeBigModel.Build;

/// <summary>
/// NVIDIA's compiler, for native/dispatch.cu. Where none is installed the plug-in is built without it, unless NBM_FETCH_NVCC asks for Debian's packages: they
/// are downloaded (0.9 GB) and unpacked into the artifacts folder, and nothing is installed.
/// </summary>
internal static class CudaToolkit
{
    private static readonly string[] s_packages = ["nvidia-cuda-toolkit", "nvidia-cuda-dev", "libnvvm4"];

    // What compiling against the static runtime needs of 3 GB.
    private static readonly string[] s_files = ["./usr/lib/nvidia-cuda-toolkit/*", "./usr/include/*", "./usr/bin/*", "*/libcudart_static.a", "*/libcudadevrt.a"];

    /// <summary>CMake's options for the compiler that was fetched; none where one is installed or none is asked for.</summary>
    public static IReadOnlyList<string> Options(string artifacts)
    {
        if (Environment.GetEnvironmentVariable("NBM_FETCH_NVCC") is not "1") return [];
        string root = Path.Combine(artifacts, "nvcc");
        DebianPackages.Unpack(root, "fetches Debian's CUDA compiler", s_packages, s_files, unpacked => WriteProfile(unpacked, root));
        return [$"-DNBM_NVCC={Path.Combine(root, "usr/lib/nvidia-cuda-toolkit/bin/nvcc")}", "-DNBM_NVCC_FLAGS=-allow-unsupported-compiler"];
    }

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
