namespace NativeBigModel.Build;

/// <summary>A platform for which libraries are made on linux-x64, and the programs for it. The one list of them is <see cref="All"/>.</summary>
/// <param name="Rid">The platform.</param>
/// <param name="Triple">As the programs are named.</param>
/// <param name="Compiler">The C++ compiler, as it is installed.</param>
/// <param name="FetchedSuffix">What its name has besides, and its options, where it was fetched: ROOT is a variable of the shell.</param>
/// <param name="System">CMake's name of the system.</param>
/// <param name="Processor">CMake's name of the processor.</param>
/// <param name="Packages">Debian's packages of all that is needed.</param>
/// <param name="Emulators">Commands that run its programs, the first that is there; ROOT is where the compiler lies.</param>
internal sealed record CrossTarget(string Rid, string Triple, string Compiler, string FetchedSuffix, string System, string Processor, string[] Packages, string[][] Emulators)
{
    public static IReadOnlyList<CrossTarget> All { get; } = [Arm64(), Windows()];

    private static CrossTarget Arm64()
    {
        const string triple = "aarch64-linux-gnu", version = "12";
        return new("linux-arm64", triple, $"{triple}-g++", $"-{version} --sysroot=\"$root\"", "Linux", "aarch64",
            [
                $"binutils-{triple}", $"cpp-{version}-{triple}", $"gcc-{version}-{triple}", $"g++-{version}-{triple}", $"libgcc-{version}-dev-arm64-cross", $"libstdc++-{version}-dev-arm64-cross",
                "libc6-arm64-cross", "libc6-dev-arm64-cross", "linux-libc-dev-arm64-cross", "libgcc-s1-arm64-cross", "libstdc++6-arm64-cross", "qemu-user-static",
            ],
            [["/usr/bin/qemu-aarch64-static", "-L", $"ROOT/usr/{triple}"], ["qemu-aarch64", "-L", $"ROOT/usr/{triple}"]]);
    }

    private static CrossTarget Windows()
    {
        const string triple = "x86_64-w64-mingw32";
        return new("win-x64", triple, $"{triple}-g++-posix", "", "Windows", "x86_64",
            ["binutils-mingw-w64-x86-64", "g++-mingw-w64-x86-64-posix", "gcc-mingw-w64-x86-64-posix", "gcc-mingw-w64-x86-64-posix-runtime", "gcc-mingw-w64-base", "mingw-w64-common", "mingw-w64-x86-64-dev"],
            [["wine64"], ["/usr/lib/wine/wine64"], ["wine"]]);
    }
}
