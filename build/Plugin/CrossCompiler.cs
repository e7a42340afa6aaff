namespace NativeBigModel.Build;

/// <summary>
/// A C++ compiler that makes libraries for another platform than this one: the system's, or with NBM_FETCH_CROSS=1 Debian's (120 MB), with an emulator to run what it makes.
/// </summary>
/// <param name="Target">What it is for.</param>
/// <param name="Compiler">The compiler.</param>
/// <param name="Objcopy">Its <c>objcopy</c>.</param>
/// <param name="Emulator">What runs the programs that it makes; null where there is none.</param>
internal sealed record CrossCompiler(CrossTarget Target, string Compiler, string Objcopy, Emulator? Emulator)
{
    /// <summary>CMake's options for it.</summary>
    public string[] Options => [$"-DCMAKE_SYSTEM_NAME={Target.System}", $"-DCMAKE_SYSTEM_PROCESSOR={Target.Processor}", $"-DCMAKE_CXX_COMPILER={Compiler}", "-DNBM_CUDA=OFF"];

    /// <summary>The compiler for a platform; null where there is none here.</summary>
    public static CrossCompiler? For(string rid, string artifacts)
    {
        if (CrossTarget.All.FirstOrDefault(one => one.Rid == rid) is not { } target || Platform.Rid != "linux-x64") return null;
        string root = Path.Combine(artifacts, "cross", rid);
        if (Environment.GetEnvironmentVariable("NBM_FETCH_CROSS") is "1") DebianPackages.Unpack(root, $"fetches Debian's compiler for {rid}", target.Packages, null, unpacked => WriteWrappers(unpacked, target));
        if (Directory.Exists(root)) return new(target, Path.Combine(root, "g++"), Path.Combine(root, "objcopy"), Emulator.For(target, root));
        return Command.Find(target.Compiler) is { } compiler ? new(target, compiler, $"{target.Triple}-objcopy", Emulator.For(target)) : null;
    }

    // The programs find neither their own libraries nor the target's where they were unpacked.
    private static void WriteWrappers(string root, CrossTarget target)
    {
        Wrap("g++", $"{target.Compiler}{target.FetchedSuffix}");
        Wrap("objcopy", $"{target.Triple}-objcopy");

        void Wrap(string name, string command)
        {
            string path = Path.Combine(root, name);
            File.WriteAllText(path, $"#!/bin/sh\nroot=$(cd \"$(dirname \"$0\")\" && pwd)\nexport LD_LIBRARY_PATH=\"$root/usr/lib/x86_64-linux-gnu\"\nexec \"$root\"/usr/bin/{command} \"$@\"\n");
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }
    }
}
