namespace NativeBigModel.Build;

/// <summary>What the plug-in is built against and the chat library is built of, taken out of the pinned sources.</summary>
internal static class GgmlHeaders
{
    private static readonly string[] s_paths = ["LICENSE", "ggml/include", "ggml/src/ggml-impl.h", "ggml/src/ggml-backend-impl.h", "include", "common", "vendor/nlohmann"];

    /// <summary>The folder that holds them, fetched and unpacked now unless it is there already.</summary>
    public static string Fetch(EngineLock pins, string root)
    {
        string headers = Path.Combine(root, $"unpacked-{pins.Version}");
        using IDisposable turn = Turn.Wait($"{headers}.lock");
        if (Directory.Exists(headers)) return headers;
        string sources = new EngineFetcher(pins, root, new Npm(), Console.Out).Fetch("any", EngineLock.SourcesKind);
        string work = $"{headers}.{Environment.ProcessId}";
        try
        {
            Command.Run("git", "is needed to unpack llama.cpp's sources", "clone", "--quiet", "--no-checkout", Path.Combine(sources, "gitRelease.bundle"), work);
            Command.Run("git", "is needed to unpack llama.cpp's sources", ["-C", work, "checkout", "--quiet", "HEAD", "--", .. s_paths]);
            Directory.Delete(Path.Combine(work, ".git"), recursive: true);
            Directory.Move(work, headers);
        }
        finally
        {
            if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
        }
        return headers;
    }
}
