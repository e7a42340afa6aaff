using System.Diagnostics;

namespace NativeBigModel.Build;

/// <summary>Builds the streaming plug-in in native/ with CMake, against the pinned headers and a platform's engine, and the chat library in native/chat of the pinned sources, into artifacts/plugin/RID/.</summary>
internal static class PluginVerb
{
    public const string Usage =
        "build the streaming plug-in and the chat library: [--cuda AUTO|ON|OFF]; [--rid RID], cross-compiled and tested in an emulator where there is one; [--sanitize], which runs its own tests under AddressSanitizer and UndefinedBehaviorSanitizer; or [--test-gpus], the GPUs that the library's tests use where there is none";

    private const string Purpose = "builds the streaming plug-in and the chat library";

    public static int Run(string[] arguments)
    {
        switch (arguments)
        {
            case []:
                BuildHere("AUTO");
                return 0;
            case ["--cuda", "AUTO" or "ON" or "OFF"]:
                BuildHere(arguments[1]);
                return 0;
            case ["--sanitize"]:
                return (TestPlugin() + TestChat()).Failed == 0 ? 0 : 1;
            case ["--test-gpus"]:
                BuildTestGpus();
                return 0;
            case ["--rid", string rid]:
                TestCounts counts = BuildFor(rid);
                Console.WriteLine(counts.Passed + counts.Failed == 0 ? "its tests were not run: there is no emulator" : counts);
                return counts.Failed == 0 ? 0 : 1;
            default:
                throw new BuildException($"plugin: '{string.Join(' ', arguments)}' is not understood; usage: plugin, {Usage}");
        }
    }

    /// <summary>Builds every plug-in that can be built here, for the platforms of the packages.</summary>
    public static void BuildAll(IEnumerable<string> rids)
    {
        foreach (string rid in rids)
        {
            if (rid == Platform.Rid) BuildHere("AUTO");
            else if (CrossCompiler.For(rid, Repository.Artifacts) is null) Console.WriteLine($"{rid}: no compiler makes the plug-in here (NBM_FETCH_CROSS=1 fetches one for {string.Join(" and ", CrossTarget.All.Select(static target => target.Rid))})");
            else if (BuildFor(rid).Failed > 0) throw new BuildException($"{rid}: the plug-in's tests failed; the reason is above");
        }
    }

    /// <summary>Builds the plug-in and its tests with the sanitizers and runs them.</summary>
    public static TestCounts TestPlugin()
    {
        (string folder, string engine) = Build(Platform.Rid, Sanitized, "nbm_tests", ["-DNBM_SANITIZE=ON", "-DNBM_CUDA=AUTO", .. CudaToolkit.Options(Repository.Artifacts)]);
        return RunTests(new ProcessStartInfo(Path.Combine(folder, "nbm_tests"), [engine]));
    }

    // The same of the chat library.
    private static TestCounts TestChat() => RunTests(new ProcessStartInfo(Path.Combine(BuildChat(Sanitized, "nbm_chat_tests", ["-DNBM_SANITIZE=ON"]), "nbm_chat_tests")));

    private static string Sanitized => Folder(Platform.Rid) + "-sanitize";

    private static void BuildHere(string cuda)
    {
        using IDisposable turn = Turn.Wait($"{Folder(Platform.Rid)}.lock");
        string folder = Build(Platform.Rid, Folder(Platform.Rid), "nbm", ["-DNBM_SANITIZE=OFF", $"-DNBM_CUDA={cuda}", .. CudaToolkit.Options(Repository.Artifacts)]).Folder;
        Keep(BuildChat(Folder(Platform.Rid), "nbm_chat", []), "nbm_chat", Platform.Rid, "objcopy");
        Keep(folder, "nbm", Platform.Rid, "objcopy");
    }

    // In a folder of its own: packages take the libraries beside the plug-in.
    private static void BuildTestGpus() => Console.WriteLine(Build(Platform.Rid, Folder(Platform.Rid) + "-tests", "nbm_test_gpus", ["-DNBM_CUDA=OFF"]).Folder);

    private static TestCounts BuildFor(string rid)
    {
        CrossCompiler cross = CrossCompiler.For(rid, Repository.Artifacts) ??
            throw new BuildException($"there is no compiler for {rid} here; install {string.Join(" or ", CrossTarget.All.Select(static target => $"{target.Compiler} for {target.Rid}"))}, or set NBM_FETCH_CROSS=1 on a Debian system");
        using IDisposable turn = Turn.Wait($"{Folder(rid)}.lock");
        string program = cross.Target.System == "Windows" ? ".exe" : "";
        (string folder, string engine) = Build(rid, Folder(rid), "nbm_tests", cross.Options);
        string chat = BuildChat(Folder(rid), "nbm_chat_tests", cross.Options);
        Keep(chat, "nbm_chat", rid, cross.Objcopy);
        Keep(folder, "nbm", rid, cross.Objcopy);
        if (cross.Emulator is not { } emulator) return default;
        return RunTests(emulator.Start(Path.Combine(folder, $"nbm_tests{program}"), [engine], [engine, folder])) + RunTests(emulator.Start(Path.Combine(chat, $"nbm_chat_tests{program}"), [], [chat]));
    }

    private static string Folder(string rid) => Path.Combine(Repository.Artifacts, "plugin", rid);

    // A library as it is shipped, and what debuggers read in a file of its own, which the library names with its checksum. Without the first option the time would be written into files for Windows.
    private static void Keep(string built, string name, string rid, string objcopy)
    {
        string file = Backend.LibraryFile(name, rid), symbols = Backend.SymbolsFile(file), whole = Path.Combine(built, file);
        string made = Directory.CreateDirectory(Path.Combine(built, $"kept.{Environment.ProcessId}")).FullName;
        Command.Run(objcopy, Purpose, "--preserve-dates", "--only-keep-debug", whole, Path.Combine(made, symbols));
        Command.Run(objcopy, Purpose, "--preserve-dates", "--strip-unneeded", $"--add-gnu-debuglink={Path.Combine(made, symbols)}", whole, Path.Combine(made, file));
        foreach (string one in (string[])[symbols, file]) File.Move(Path.Combine(made, one), Path.Combine(Folder(rid), one), overwrite: true);
        Directory.Delete(made);
        Console.WriteLine(Path.Combine(Folder(rid), file));
    }

    private static string BuildChat(string output, string target, string[] options)
    {
        string sources = GgmlHeaders.Fetch(EngineLock.Read(Repository.EngineLockFile), Path.Combine(Repository.Artifacts, "engine", "any"));
        string build = Path.Combine(output, "build-chat");
        Command.Run("cmake", Purpose, ["-S", Path.Combine(Repository.Root, "native", "chat"), "-B", build, $"-DNBM_LLAMA_SOURCE={sources}", .. options]);
        Command.Run("cmake", Purpose, "--build", build, "--target", target, "--parallel", $"{Environment.ProcessorCount}");
        return build;
    }

    private static TestCounts RunTests(ProcessStartInfo start)
    {
        start.RedirectStandardOutput = true;
        using Process tests = Process.Start(start)!;
        string output = tests.StandardOutput.ReadToEnd();
        tests.WaitForExit();
        Console.Write(output);
        int passed = output.Split('\n').Count(line => line.StartsWith("ok ", StringComparison.Ordinal)), failed = output.Split('\n').Count(line => line.StartsWith("FAIL ", StringComparison.Ordinal));
        // A sanitizer's report ends the process with a status of its own.
        return new TestCounts(passed, failed == 0 && tests.ExitCode != 0 ? 1 : failed, 0);
    }

    private static (string Folder, string Engine) Build(string rid, string output, string target, string[] options)
    {
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        string root = Path.Combine(Repository.Artifacts, "engine");
        string engine = new EngineFetcher(pins, Path.Combine(root, rid), new Npm(), Console.Out).Fetch(rid, "cpu");
        string headers = GgmlHeaders.Fetch(pins, Path.Combine(root, "any"));
        string build = Path.Combine(output, "build");
        string configured = Command.Run("cmake", Purpose, ["-S", Path.Combine(Repository.Root, "native"), "-B", build, $"-DNBM_GGML_SOURCE={headers}", $"-DNBM_ENGINE={engine}", .. options]);
        foreach (string line in configured.Split('\n').Where(static line => line.Contains("nbm: ", StringComparison.Ordinal))) Console.WriteLine(line.TrimStart('-', ' '));
        Command.Run("cmake", Purpose, "--build", build, "--target", target, "--parallel", $"{Environment.ProcessorCount}");
        return (build, engine);
    }
}
