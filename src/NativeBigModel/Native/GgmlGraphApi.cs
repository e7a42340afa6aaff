using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

internal readonly struct GgmlGraph;

internal readonly struct GgmlBackend;

/// <summary>ggml_init_params. A byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlInitParams
{
    public nuint MemSize;
    public void* MemBuffer;
    public byte NoAlloc;
}

/// <summary>ggml.h and ggml-backend.h: small graphs of our own, for measuring. ggml aborts the process on tensors that do not go together: give it none.</summary>
internal static unsafe partial class GgmlGraphApi
{
    private const string Base = EngineLibrary.GgmlBase;

    [LibraryImport(Base, EntryPoint = "ggml_init")]
    internal static partial GgmlContext* GgmlInit(GgmlInitParams parameters);

    [LibraryImport(Base, EntryPoint = "ggml_free")]
    internal static partial void GgmlFree(GgmlContext* context);

    [LibraryImport(Base, EntryPoint = "ggml_new_tensor_3d")]
    internal static partial GgmlTensor* GgmlNewTensor3d(GgmlContext* context, TensorType type, long ne0, long ne1, long ne2);

    [LibraryImport(Base, EntryPoint = "ggml_mul_mat")]
    internal static partial GgmlTensor* GgmlMulMat(GgmlContext* context, GgmlTensor* weights, GgmlTensor* vectors);

    /// <summary>Of stacked matrices, those that <paramref name="ids"/> names for each vector.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_mul_mat_id")]
    internal static partial GgmlTensor* GgmlMulMatId(GgmlContext* context, GgmlTensor* stack, GgmlTensor* vectors, GgmlTensor* ids);

    [LibraryImport(Base, EntryPoint = "ggml_new_graph_custom")]
    internal static partial GgmlGraph* GgmlNewGraphCustom(GgmlContext* context, nuint size, [MarshalAs(UnmanagedType.U1)] bool grads);

    [LibraryImport(Base, EntryPoint = "ggml_graph_overhead_custom")]
    internal static partial nuint GgmlGraphOverheadCustom(nuint size, [MarshalAs(UnmanagedType.U1)] bool grads);

    [LibraryImport(Base, EntryPoint = "ggml_build_forward_expand")]
    internal static partial void GgmlBuildForwardExpand(GgmlGraph* graph, GgmlTensor* tensor);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_init")]
    internal static partial GgmlBackend* GgmlBackendDevInit(GgmlBackendDevice* device, byte* parameters);

    [LibraryImport(Base, EntryPoint = "ggml_backend_free")]
    internal static partial void GgmlBackendFree(GgmlBackend* backend);

    [LibraryImport(Base, EntryPoint = "ggml_backend_supports_op")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlBackendSupportsOp(GgmlBackend* backend, GgmlTensor* op);

    /// <summary>Returns when it is computed; 0 is success.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_graph_compute")]
    internal static partial int GgmlBackendGraphCompute(GgmlBackend* backend, GgmlGraph* graph);

    [LibraryImport(Base, EntryPoint = "ggml_backend_synchronize")]
    internal static partial void GgmlBackendSynchronize(GgmlBackend* backend);

    [LibraryImport(Base, EntryPoint = "ggml_backend_tensor_set_async")]
    internal static partial void GgmlBackendTensorSetAsync(GgmlBackend* backend, GgmlTensor* tensor, void* data, nuint offset, nuint size);

    [LibraryImport(Base, EntryPoint = "ggml_backend_tensor_get_async")]
    internal static partial void GgmlBackendTensorGetAsync(GgmlBackend* backend, GgmlTensor* tensor, void* data, nuint offset, nuint size);

    /// <summary>Null where the memory is refused.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_buft_alloc_buffer")]
    internal static partial GgmlBackendBuffer* GgmlBackendBuftAllocBuffer(GgmlBackendBufferType* type, nuint size);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_free")]
    internal static partial void GgmlBackendBufferFree(GgmlBackendBuffer* buffer);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_get_base")]
    internal static partial void* GgmlBackendBufferGetBase(GgmlBackendBuffer* buffer);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_get_size")]
    internal static partial nuint GgmlBackendBufferGetSize(GgmlBackendBuffer* buffer);

    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_clear")]
    internal static partial void GgmlBackendBufferClear(GgmlBackendBuffer* buffer, byte value);

    /// <summary>Bytes that a tensor takes in a buffer.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_buffer_get_alloc_size")]
    internal static partial nuint GgmlBackendBufferGetAllocSize(GgmlBackendBuffer* buffer, GgmlTensor* tensor);

    /// <summary>Puts a tensor at an address within a buffer, which must have room for it there.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_backend_tensor_alloc")]
    internal static partial int GgmlBackendTensorAlloc(GgmlBackendBuffer* buffer, GgmlTensor* tensor, void* address);

    [LibraryImport(Base, EntryPoint = "ggml_backend_dev_backend_reg")]
    internal static partial GgmlBackendReg* GgmlBackendDevBackendReg(GgmlBackendDevice* device);

    [LibraryImport(Base, EntryPoint = "ggml_backend_reg_get_proc_address", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial void* GgmlBackendRegGetProcAddress(GgmlBackendReg* registry, string name);

    [LibraryImport(Base, EntryPoint = "ggml_backend_reg_name")]
    internal static partial byte* GgmlBackendRegName(GgmlBackendReg* registry);
}
