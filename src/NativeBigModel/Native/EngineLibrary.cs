using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Runtime.Loader;

namespace NativeBigModel.Native;

/// <summary>
/// Loads the engine: once, into one process, from one folder. Two builds of ggml cannot live side by side, so the first that loads is the one for good;
/// a load that failed may be tried again. Call <see cref="Load"/> before anything else in this namespace.
/// </summary>
internal static unsafe class EngineLibrary
{
    public const string Llama = "llama";
    public const string Ggml = "ggml";
    public const string GgmlBase = "ggml-base";

    /// <summary>The release whose structs and functions are bound here.</summary>
    public const string BoundVersion = "0.5.0";

    /// <summary>Releases whose structs and functions, as far as they are bound, are the same: what packages have for platforms that <see cref="BoundVersion"/> was not built for.</summary>
    private static readonly string[] s_sameVersions = [BoundVersion, "0.4.0"];

    private const string EnginePackages = "NativeBigModel.Backend.Cpu, .Cuda13, .Cuda12 or .Vulkan";

    private static readonly string s_gpuPackages = OperatingSystem.IsWindows() ? "NativeBigModel.Backend.Cuda13.Windows, .Cuda12.Windows or .Vulkan" : "NativeBigModel.Backend.Cuda13, .Cuda12 or .Vulkan";
    private static readonly Lock s_gate = new();
    private static readonly Dictionary<string, nint> s_libraries = [];
    private static string? s_folder;
    private static string s_gpuRefusal = "";
    private static bool s_ready;

    /// <summary>The folder of the loaded engine, or null.</summary>
    public static string? Folder
    {
        get
        {
            lock (s_gate) return s_ready ? s_folder : null;
        }
    }

    /// <summary>The engine's own version, <c>0.5.0-dev</c> for a prebuilt 0.5.0. Loads the engine if need be.</summary>
    public static string Version
    {
        get
        {
            Load();
            return Utf8.Text(LlamaSystemApi.LlamaVersion());
        }
    }

    /// <summary>Makes the engine ready. Does nothing where it is ready and is what is asked for.</summary>
    /// <param name="kind">Which build.</param>
    /// <param name="folder">The only folder to look in; null: NBM_ENGINE_PATH, or else the places beside the application.</param>
    /// <exception cref="EngineException">There is none, it was refused, or another one is loaded. Lists every path tried, each with its reason.</exception>
    public static void Load(EngineKind kind = EngineKind.Auto, string? folder = null)
    {
        lock (s_gate)
        {
            if (s_folder is null) LoadLibraries(kind, folder);
            else if (folder is not null && Path.GetFullPath(folder) != s_folder)
                throw new EngineException($"the engine in {s_folder} is loaded, and a process holds only one: {folder} needs a process of its own");
            if (!s_ready) Initialize();
            if (kind is EngineKind.Cuda or EngineKind.Vulkan && !HasGpu())
                throw new EngineException($"a GPU was asked for, and the engine in {s_folder} finds none{(s_gpuRefusal.Length > 0 ? s_gpuRefusal : $": add the package {s_gpuPackages}")}");
        }
    }

    private static void LoadLibraries(EngineKind kind, string? folder)
    {
        IReadOnlyList<string> candidates = EngineFolder.Candidates(
            folder, Environment.GetEnvironmentVariable("NBM_ENGINE_PATH"), Places(),
            EngineFolder.Rid, kind, kind == EngineKind.Auto && CudaDriver.HasDevice());
        if (LoadedBefore() is { } loaded)
        {
            // Another copy of this library, in a load context of its own, may have loaded the very engine that is wanted here.
            if (!candidates.Contains(Path.GetDirectoryName(loaded)))
                throw new EngineException($"another build of ggml, {loaded}, is loaded in this process; two cannot share one: run this library in a process of its own");
            candidates = [Path.GetDirectoryName(loaded)!];
        }
        List<string> refusals = [];
        foreach (string candidate in candidates)
        {
            if (TryLoad(candidate, out string reason)) return;
            refusals.Add($"{candidate} ({reason})");
        }
        throw new EngineException($"no llama.cpp {BoundVersion} engine could be loaded; add the package {EnginePackages} to the application, or name a folder by NBM_ENGINE_PATH; tried {string.Join("; ", refusals)}");
    }

    /// <summary>Loads the three libraries of a folder, all or none.</summary>
    internal static bool TryLoad(string folder, out string reason)
    {
        List<nint> loaded = [];
        try
        {
            if (!EngineFolder.TryFind(folder, out string[] files, out reason)) return false;
            foreach (string file in files) loaded.Add(NativeLibrary.Load(file));
            reason = VersionProblem(loaded[^1]);
        }
        catch (Exception refusal) when (refusal is DllNotFoundException or BadImageFormatException or EntryPointNotFoundException or IOException or UnauthorizedAccessException)
        {
            reason = LoaderReason(refusal.Message);
        }
        if (reason.Length > 0)
        {
            loaded.Reverse();
            loaded.ForEach(NativeLibrary.Free);
            return false;
        }
        for (int i = 0; i < loaded.Count; i++) s_libraries[EngineFolder.Libraries[i]] = loaded[i];
        s_folder = folder;
        NativeLibrary.SetDllImportResolver(typeof(EngineLibrary).Assembly, Resolve);
        return true;
    }

    private static string VersionProblem(nint llama)
    {
        string version = Utf8.Text(((delegate* unmanaged[Cdecl]<byte*>)NativeLibrary.GetExport(llama, "llama_version"))());
        return s_sameVersions.Any(same => version.StartsWith(same, StringComparison.Ordinal)) ? "" : $"it is llama.cpp {version}, and {BoundVersion} is bound";
    }

    /// <summary>The system loader's own lines. .NET puts advice on debugging before them.</summary>
    internal static string LoaderReason(string message)
    {
        string[] lines = message.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        return string.Join(", ", lines.Length > 1 ? lines[1..] : lines);
    }

    /// <summary>Makes a library that builds on the engine known to the bindings.</summary>
    internal static void Add(string name, nint library)
    {
        lock (s_gate) s_libraries[name] = library;
    }

    /// <summary>The address of a function that has no binding, or 0 where the engine does not export it.</summary>
    internal static nint Find(string library, string function)
    {
        lock (s_gate) return s_libraries.TryGetValue(library, out nint handle) && NativeLibrary.TryGetExport(handle, function, out nint address) ? address : 0;
    }

    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path) => s_libraries.GetValueOrDefault(name);

    private static void Initialize()
    {
        long since = NativeLog.Count;
        LlamaSystemApi.LlamaLogSet(NativeLog.Callback, null);
        SilenceAtUnload();
        if (GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu) is null)
        {
            LlamaSystemApi.LlamaBackendInit();
            GgmlBackendApi.GgmlBackendLoadAllFromPath(s_folder!);
            foreach (string library in EngineFolder.GpuLibraries(s_folder!))
            {
                // Loading a folder says nothing of what it refused, loading a file does.
                if (HasGpu()) break;
                GgmlBackendApi.GgmlBackendLoad(library);
                s_gpuRefusal = Words(since);
            }
        }
        if (GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu) is null)
            throw new EngineException($"no ggml-cpu library in {s_folder} runs on this processor{Words(since)}");
        s_ready = true;
    }

    // The engine outlives a load context that is unloaded, and must not call into it.
    private static void SilenceAtUnload()
    {
        if (AssemblyLoadContext.GetLoadContext(typeof(EngineLibrary).Assembly) is { IsCollectible: true } context)
            context.Unloading += static _ => LlamaSystemApi.LlamaLogSet(null, null);
    }

    private static bool HasGpu() =>
        GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Gpu) is not null || GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.IntegratedGpu) is not null;

    /// <summary>Where libraries of the application may be: its own folder, that of this assembly where it is another, as in a plug-in, and those of the .NET host.</summary>
    internal static IEnumerable<string> Places() => [AppContext.BaseDirectory, AssemblyFolder(), .. EngineFolder.HostFolders()];

    [UnconditionalSuppressMessage("SingleFile", "IL3000", Justification = "In a single file there is no such folder, and the application's own is tried.")]
    private static string AssemblyFolder() => Path.GetDirectoryName(typeof(EngineLibrary).Assembly.Location) ?? "";

    private static string? LoadedBefore()
    {
        using Process self = Process.GetCurrentProcess();
        return self.Modules.Cast<ProcessModule>().Select(static module => module.FileName).FirstOrDefault(EngineFolder.IsGgmlBase);
    }

    private static string Words(long since) => string.Concat(NativeLog.LastErrors(since).Select(static line => "; " + line));
}
