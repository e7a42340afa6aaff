using System.Diagnostics;

namespace NativeBigModel.Build;

/// <summary>Builds the streaming plug-in in native/ with CMake, against the pinned headers and this platform's engine, and the chat library in native/chat of the pinned sources, into artifacts/plugin/RID/.</summary>
internal static class PluginVerb
{
    public const string Usage = "build the streaming plug-in and the chat library: [--sanitize] also runs the plug-in's own tests under AddressSanitizer and UndefinedBehaviorSanitizer";

    private const string Purpose = "builds the streaming plug-in and the chat library";

    public static int Run(string[] arguments)
    {
        if (arguments.FirstOrDefault(argument => argument != "--sanitize") is { } unknown) throw new BuildException($"plugin: '{unknown}' is not understood; usage: plugin, {Usage}");
        if (arguments.Length > 0) return Test().Failed == 0 ? 0 : 1;
        string output = Path.Combine(Repository.Artifacts, "plugin", Platform.Rid);
        Place(Directory.GetFiles(BuildChat(output), "libnbm_chat.*").Single(), output);
        Place(Directory.GetFiles(Build(output, "nbm", sanitize: false).Folder, "libnbm.*").Single(), output);
        return 0;
    }

    private static void Place(string library, string output)
    {
        string target = Path.Combine(output, Path.GetFileName(library)), beside = $"{target}.{Environment.ProcessId}";
        File.Copy(library, beside);
        File.Move(beside, target, overwrite: true);
        Console.WriteLine(target);
    }

    private static string BuildChat(string output)
    {
        string sources = GgmlHeaders.Fetch(EngineLock.Read(Repository.EngineLockFile), Path.Combine(Repository.Artifacts, "engine", "any"));
        string build = Path.Combine(output, "build-chat");
        Command.Run("cmake", Purpose, "-S", Path.Combine(Repository.Root, "native", "chat"), "-B", build, $"-DNBM_LLAMA_SOURCE={sources}");
        Command.Run("cmake", Purpose, "--build", build, "--parallel", $"{Environment.ProcessorCount}");
        return build;
    }

    /// <summary>Builds the plug-in and its tests with the sanitizers and runs them.</summary>
    public static TestCounts Test()
    {
        (string folder, string engine) = Build(Path.Combine(Repository.Artifacts, "plugin", Platform.Rid + "-sanitize"), "nbm_tests", sanitize: true);
        using Process tests = Process.Start(new ProcessStartInfo(Path.Combine(folder, "nbm_tests"), [engine]) { RedirectStandardOutput = true })!;
        string output = tests.StandardOutput.ReadToEnd();
        tests.WaitForExit();
        Console.Write(output);
        int passed = output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)), failed = output.Split('\n').Count(line => line.StartsWith("FAIL ", StringComparison.Ordinal));
        // A sanitizer's report ends the process with a status of its own.
        return new TestCounts(passed, failed == 0 && tests.ExitCode != 0 ? 1 : failed, 0);
    }

    private static (string Folder, string Engine) Build(string output, string target, bool sanitize)
    {
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        string root = Path.Combine(Repository.Artifacts, "engine");
        string engine = new EngineFetcher(pins, Path.Combine(root, Platform.Rid), new Npm(), Console.Out).Fetch(Platform.Rid, "cpu");
        string headers = GgmlHeaders.Fetch(pins, Path.Combine(root, "any"));
        string build = Path.Combine(output, "build");
        Command.Run("cmake", Purpose, ["-S", Path.Combine(Repository.Root, "native"), "-B", build,
            $"-DNBM_GGML_SOURCE={headers}", $"-DNBM_ENGINE={engine}", $"-DNBM_SANITIZE={(sanitize ? "ON" : "OFF")}", .. CudaToolkit.Options(Repository.Artifacts)]);
        Command.Run("cmake", Purpose, "--build", build, "--target", target, "--parallel", $"{Environment.ProcessorCount}");
        return (build, engine);
    }
}
