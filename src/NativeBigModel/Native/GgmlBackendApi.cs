using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>ggml_backend_dev_props, its capabilities included. A byte is a C bool; the strings are the device's.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlBackendDevProps
{
    public byte* Name;
    public byte* Description;
    public nuint MemoryFree;
    public nuint MemoryTotal;
    public GgmlBackendDevType Type;

    /// <summary>The PCI address, "0000:c1:00.0"; null where unknown.</summary>
    public byte* DeviceId;
    public byte CapsAsync;
    public byte CapsHostBuffer;
    public byte CapsBufferFromHostPtr;
    public byte CapsEvents;
    public byte CapsMmapSupport;
}

/// <summary>ggml-backend.h: devices, buffers, and tensors' bytes on them.</summary>
internal static unsafe partial class GgmlBackendApi
{
    private const string Ggml = EngineLibrary.Ggml;
    private const string Base = EngineLibrary.GgmlBase;

    /// <summary>Loads one backend library; null where it was refused, and the log has the reason.</summary>
    [LibraryImport(Ggml, EntryPoint = "ggml_backend_load", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial GgmlBackendReg* GgmlBackendLoad(string path);

    /// <summary>Loads every kind of backend in a folder; of several builds of one kind, the best that this processor runs. Says nothing of those that were refused.</summary>
    [LibraryImport(Ggml, EntryPoint = "ggml_backend_load_all_from_path", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial void GgmlBackendLoadAllFromPath(string folder);

    [LibraryImport(Ggml, EntryPoint = "ggml_backend_dev_count")]
    internal static partial nuint GgmlBackendDevCount();

    [LibraryImport(Ggml, EntryPoint = "ggml_backend_dev_get")]
    internal static partial GgmlBackendDevice* GgmlBackendDevGet(nuint index);

    /// <summary>The first device of a type, or null.</summary>
    [LibraryImport(Ggml, EntryPoint = "ggml_backend_dev_by_type")]
    internal static partial GgmlBackendDevice* GgmlBackendDevByType(GgmlBackendDevType type);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_name")]
    internal static partial byte* GgmlBackendDevName(GgmlBackendDevice* device);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_description")]
    internal static partial byte* GgmlBackendDevDescription(GgmlBackendDevice* device);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_type")]
    internal static partial GgmlBackendDevType GgmlBackendDevType(GgmlBackendDevice* device);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_memory")]
    internal static partial void GgmlBackendDevMemory(GgmlBackendDevice* device, out nuint free, out nuint total);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_get_props")]
    internal static partial void GgmlBackendDevGetProps(GgmlBackendDevice* device, out GgmlBackendDevProps props);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_supports_op")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlBackendDevSupportsOp(GgmlBackendDevice* device, GgmlTensor* op);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_buffer_type")]
    internal static partial GgmlBackendBufferType* GgmlBackendDevBufferType(GgmlBackendDevice* device);

    /// <summary>Pinned host memory for the device; null where it has none of its own.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_host_buffer_type")]
    internal static partial GgmlBackendBufferType* GgmlBackendDevHostBufferType(GgmlBackendDevice* device);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_get_type")]
    internal static partial GgmlBackendBufferType* GgmlBackendBufferGetType(GgmlBackendBuffer* buffer);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buft_name")]
    internal static partial byte* GgmlBackendBuftName(GgmlBackendBufferType* buft);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buft_is_host")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlBackendBuftIsHost(GgmlBackendBufferType* buft);

    /// <summary>The device whose memory it is; null for one that belongs to none.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_buft_get_device")]
    internal static partial GgmlBackendDevice* GgmlBackendBuftGetDevice(GgmlBackendBufferType* buft);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_is_host")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlBackendBufferIsHost(GgmlBackendBuffer* buffer);

    [LibraryImport(Base, EntryPoint = "ggml_backend_tensor_set")]
    internal static partial void GgmlBackendTensorSet(GgmlTensor* tensor, void* data, nuint offset, nuint size);

    [LibraryImport(Base, EntryPoint = "ggml_backend_tensor_get")]
    internal static partial void GgmlBackendTensorGet(GgmlTensor* tensor, void* data, nuint offset, nuint size);
}
