namespace NativeBigModel.Build;

/// <summary>
/// A C++ compiler that makes libraries for another platform than this one: the system's, or with NBM_FETCH_CROSS=1 Debian's (120 MB), with an emulator to run what it makes.
/// </summary>
/// <param name="Compiler">The compiler.</param>
/// <param name="Strip">Its <c>strip</c>.</param>
/// <param name="Emulator">The command before a program's own; empty where there is none.</param>
internal sealed record CrossCompiler(string Compiler, string Strip, string[] Emulator)
{
    private const string Triple = "aarch64-linux-gnu";
    private const string Version = "12";

    private static readonly string[] s_packages =
    [
        $"binutils-{Triple}", $"cpp-{Version}-{Triple}", $"gcc-{Version}-{Triple}", $"g++-{Version}-{Triple}", $"libgcc-{Version}-dev-arm64-cross", $"libstdc++-{Version}-dev-arm64-cross",
        "libc6-arm64-cross", "libc6-dev-arm64-cross", "linux-libc-dev-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross", "qemu-user-static",
    ];

    /// <summary>CMake's options for it.</summary>
    public string[] Options => ["-DCMAKE_SYSTEM_NAME=Linux", "-DCMAKE_SYSTEM_PROCESSOR=aarch64", $"-DCMAKE_CXX_COMPILER={Compiler}", "-DNBM_CUDA=OFF"];

    /// <summary>The compiler for a platform; null where there is none here.</summary>
    public static CrossCompiler? For(string rid, string artifacts)
    {
        if (rid != "linux-arm64" || Platform.Rid != "linux-x64") return null;
        string root = Path.Combine(artifacts, "cross", rid);
        if (Environment.GetEnvironmentVariable("NBM_FETCH_CROSS") is "1") DebianPackages.Unpack(root, "fetches Debian's compiler for arm64", s_packages, null, WriteWrappers);
        if (Directory.Exists(root)) return new(Path.Combine(root, "g++"), Path.Combine(root, "strip"), [Path.Combine(root, "usr/bin/qemu-aarch64-static"), "-L", Path.Combine(root, "usr", Triple)]);
        return IsInstalled($"{Triple}-g++") ? new($"{Triple}-g++", $"{Triple}-strip", []) : null;
    }

    // The programs find neither their own libraries nor the target's where they were unpacked.
    private static void WriteWrappers(string root)
    {
        Wrap("g++", $"{Triple}-g++-{Version} --sysroot=\"$root\"");
        Wrap("strip", $"{Triple}-strip");

        void Wrap(string name, string command)
        {
            string path = Path.Combine(root, name);
            File.WriteAllText(path, $"#!/bin/sh\nroot=$(cd \"$(dirname \"$0\")\" && pwd)\nexport LD_LIBRARY_PATH=\"$root/usr/lib/x86_64-linux-gnu\"\nexec \"$root\"/usr/bin/{command} \"$@\"\n");
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }
    }

    private static bool IsInstalled(string tool) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Any(folder => File.Exists(Path.Combine(folder, tool)));
}
