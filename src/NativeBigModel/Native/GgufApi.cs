using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>gguf_init_params. A byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgufInitParams
{
    public byte NoAlloc;
    public GgmlContext** Ctx;
}

/// <summary>gguf.h: metadata. A getter aborts the process where the key is absent or has another type: ask <see cref="GgufFindKey"/> first.</summary>
internal static unsafe partial class GgufApi
{
    private const string Base = EngineLibrary.GgmlBase;

    /// <summary>Reads a header; the bytes are copied and need not outlive the call.</summary>
    [LibraryImport(Base, EntryPoint = "gguf_init_from_buffer")]
    internal static partial GgufHandle GgufInitFromBuffer(byte* data, nuint size, GgufInitParams parameters);

    [LibraryImport(Base, EntryPoint = "gguf_free")]
    internal static partial void GgufFree(nint gguf);

    [LibraryImport(Base, EntryPoint = "gguf_get_n_kv")]
    internal static partial long GgufGetNKv(GgufHandle gguf);

    /// <summary>-1 where the key is absent.</summary>
    [LibraryImport(Base, EntryPoint = "gguf_find_key", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial long GgufFindKey(GgufHandle gguf, string key);

    [LibraryImport(Base, EntryPoint = "gguf_get_val_str")]
    internal static partial byte* GgufGetValStr(GgufHandle gguf, long keyId);

    [LibraryImport(Base, EntryPoint = "gguf_get_n_tensors")]
    internal static partial long GgufGetNTensors(GgufHandle gguf);

    [LibraryImport(Base, EntryPoint = "gguf_get_tensor_name")]
    internal static partial byte* GgufGetTensorName(GgufHandle gguf, long tensorId);

    [LibraryImport(Base, EntryPoint = "gguf_get_tensor_type")]
    internal static partial TensorType GgufGetTensorType(GgufHandle gguf, long tensorId);

    [LibraryImport(Base, EntryPoint = "gguf_get_tensor_size")]
    internal static partial nuint GgufGetTensorSize(GgufHandle gguf, long tensorId);
}
