namespace NativeBigModel.Build;

/// <summary>Builds the streaming plug-in in native/ with CMake, against the pinned headers and this platform's engine, into artifacts/plugin/RID/.</summary>
internal static class PluginVerb
{
    public const string Usage = "build the streaming plug-in: [--sanitize]";

    public static int Run(string[] arguments)
    {
        if (arguments.Any(argument => argument != "--sanitize")) throw new BuildException($"plugin: '{arguments[0]}' is not understood; usage: plugin, {Usage}");
        bool sanitize = arguments.Contains("--sanitize");
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        string root = Path.Combine(Repository.Artifacts, "engine");
        string engine = new EngineFetcher(pins, Path.Combine(root, Platform.Rid), new Npm(), Console.Out).Fetch(Platform.Rid, "cpu");
        string headers = GgmlHeaders.Fetch(pins, Path.Combine(root, "any"));
        string output = Path.Combine(Repository.Artifacts, "plugin", Platform.Rid + (sanitize ? "-sanitize" : ""));
        string build = Path.Combine(output, "build");
        const string purpose = "builds the streaming plug-in";
        Command.Run("cmake", purpose, "-S", Path.Combine(Repository.Root, "native"), "-B", build,
            $"-DNBM_GGML_SOURCE={headers}", $"-DNBM_ENGINE={engine}", $"-DNBM_SANITIZE={(sanitize ? "ON" : "OFF")}");
        Command.Run("cmake", purpose, "--build", build, "--parallel");
        string library = Directory.GetFiles(build, "libnbm.*").Single();
        string target = Path.Combine(output, Path.GetFileName(library)), beside = $"{target}.{Environment.ProcessId}";
        File.Copy(library, beside);
        File.Move(beside, target, overwrite: true);
        Console.WriteLine(target);
        return 0;
    }
}
