namespace NativeBigModel.Build;

/// <summary>
/// Fetches the engine's libraries and leaves, beside them, <c>KIND.files</c>: what a build of that kind ships, one path a line
/// relative to the engine folder (for example <c>cpu-3.22.1/libggml-base.so</c>). MSBuild reads that list.
/// </summary>
internal static class EngineVerb
{
    public const string Usage = "fetch llama.cpp: [--kind cpu|cuda|vulkan|auto] [--into DIR] [--rid RID]";

    public static int Run(string[] arguments)
    {
        Dictionary<string, string> options = Options(arguments);
        string kind = options.GetValueOrDefault("--kind", "auto");
        string rid = options.GetValueOrDefault("--rid", Platform.Rid);
        string into = Path.GetFullPath(options.GetValueOrDefault("--into", Path.Combine(Repository.Artifacts, "engine")));

        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        EngineFetcher fetcher = new(pins, Path.Combine(into, rid), new Npm(), Console.Out);
        string[] kinds = kind switch
        {
            "auto" when CudaDriver.IsPresent() && pins.Has(rid, "cuda") => ["cpu", "cuda"],
            "auto" or "cpu" => ["cpu"],
            _ => ["cpu", kind],
        };

        List<string> files = [];
        foreach (string one in kinds)
        {
            string folder = fetcher.Fetch(rid, one);
            files.AddRange(EngineStamp.Read(folder)!.Files.Select(file => $"{Path.GetFileName(folder)}/{file.Path}"));
            Console.WriteLine(folder);
        }
        WriteWhole(Path.Combine(into, rid, $"{kind}.files"), files);
        return 0;
    }

    private static Dictionary<string, string> Options(string[] arguments)
    {
        Dictionary<string, string> options = [];
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (arguments[i] is not ("--kind" or "--into" or "--rid") || i + 1 == arguments.Length)
                throw new BuildException($"engine: '{arguments[i]}' is not understood; usage: engine, {Usage}");
            options[arguments[i]] = arguments[i + 1];
        }
        return options;
    }

    private static void WriteWhole(string path, List<string> lines)
    {
        string beside = $"{path}.{Environment.ProcessId}";
        File.WriteAllLines(beside, lines);
        File.Move(beside, path, overwrite: true);
    }
}
