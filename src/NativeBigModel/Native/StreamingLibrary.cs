using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>Loads the streaming plug-in, which lies in the engine's folder or the one above. The engine must be loaded first: the plug-in uses its ggml.</summary>
internal static class StreamingLibrary
{
    public const string Nbm = "nbm";

    private static readonly Lock s_gate = new();
    private static bool s_ready;

    /// <exception cref="EngineException">It is not there, was refused, or is of another version. Lists every path tried, each with its reason.</exception>
    public static void Load()
    {
        lock (s_gate)
        {
            if (s_ready) return;
            EngineLibrary.Load();
            List<string> refusals = [];
            foreach (string path in Candidates())
            {
                try
                {
                    nint library = NativeLibrary.Load(path);
                    if (Difference(library) is { } difference)
                    {
                        NativeLibrary.Free(library);
                        refusals.Add($"{path} ({difference})");
                        continue;
                    }
                    EngineLibrary.Add(Nbm, library);
                    s_ready = true;
                    return;
                }
                catch (Exception refusal) when (refusal is DllNotFoundException or BadImageFormatException)
                {
                    refusals.Add($"{path} ({(File.Exists(path) ? EngineLibrary.LoaderReason(refusal.Message) : "there is no such file")})");
                }
            }
            throw new EngineException($"layers can be streamed only with the plug-in, which could not be loaded; tried {string.Join("; ", refusals)}");
        }
    }

    /// <summary>Whether it is loaded now, for what does without it elsewhere.</summary>
    public static bool TryLoad()
    {
        try
        {
            Load();
            return true;
        }
        catch (EngineException) { return false; }
    }

    /// <summary>Where the plug-in lies, for an engine that is loaded; null where it does not.</summary>
    public static string? FilePath => Candidates().FirstOrDefault(File.Exists);

    private static IEnumerable<string> Candidates() =>
        ((string[])[EngineLibrary.Folder!, Path.GetDirectoryName(EngineLibrary.Folder!)!, AppContext.BaseDirectory]).Select(folder => Path.Combine(folder, FileName));

    private static string FileName => OperatingSystem.IsWindows() ? "nbm.dll" : OperatingSystem.IsMacOS() ? "libnbm.dylib" : "libnbm.so";

    // Why it is another than the one that is bound: nothing of it is called before that is known.
    private static unsafe string? Difference(nint library)
    {
        if (!NativeLibrary.TryGetExport(library, "nbm_abi_version", out nint says) || !NativeLibrary.TryGetExport(library, "nbm_abi_sizes", out nint sizes)) return "it is of another version, older than any that says which";
        uint version = ((delegate* unmanaged[Cdecl]<uint>)says)(), options, stats, groupStats;
        if (version != NbmApi.AbiVersion) return $"it is of another version: {version}, and {NbmApi.AbiVersion} is bound";
        ((delegate* unmanaged[Cdecl]<uint*, uint*, uint*, void>)sizes)(&options, &stats, &groupStats);
        return options == sizeof(NbmOptions) && stats == sizeof(NbmStats) && groupStats == sizeof(NbmGroupStats) ? null
            : $"it is of another version: its structs take {options}, {stats} and {groupStats} bytes, and {sizeof(NbmOptions)}, {sizeof(NbmStats)} and {sizeof(NbmGroupStats)} are bound";
    }
}
