using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama.h: what concerns the whole process.</summary>
internal static unsafe partial class LlamaSystemApi
{
    private const string Llama = EngineLibrary.Llama;

    [LibraryImport(Llama, EntryPoint = "llama_version")]
    internal static partial byte* LlamaVersion();

    [LibraryImport(Llama, EntryPoint = "llama_backend_init")]
    internal static partial void LlamaBackendInit();

    /// <summary>Sets the log callback of llama and of ggml.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_log_set")]
    internal static partial void LlamaLogSet(delegate* unmanaged[Cdecl]<GgmlLogLevel, byte*, void*, void> callback, void* userData);

    [LibraryImport(Llama, EntryPoint = "llama_max_devices")]
    internal static partial nuint LlamaMaxDevices();
}
