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
                    EngineLibrary.Add(Nbm, NativeLibrary.Load(path));
                    RequireSameLayout(path);
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

    private static unsafe void RequireSameLayout(string path)
    {
        NbmApi.NbmAbiSizes(out uint options, out uint stats, out uint groupStats);
        if (options != sizeof(NbmOptions) || stats != sizeof(NbmStats) || groupStats != sizeof(NbmGroupStats))
        {
            throw new EngineException($"{path} is of another version: its structs take {options}, {stats} and {groupStats} bytes, and " +
                $"{sizeof(NbmOptions)}, {sizeof(NbmStats)} and {sizeof(NbmGroupStats)} are bound");
        }
    }
}
