using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>ggml.h: element types, rows, tensors. ggml aborts the process on a type number it does not know.</summary>
internal static unsafe partial class GgmlApi
{
    private const string Base = EngineLibrary.GgmlBase;

    /// <summary>Elements in one block.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_blck_size")]
    internal static partial long GgmlBlckSize(TensorType type);

    /// <summary>Bytes of one block.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_type_size")]
    internal static partial nuint GgmlTypeSize(TensorType type);

    [LibraryImport(Base, EntryPoint = "ggml_row_size")]
    internal static partial nuint GgmlRowSize(TensorType type, long ne);

    [LibraryImport(Base, EntryPoint = "ggml_type_name")]
    internal static partial byte* GgmlTypeName(TensorType type);

    /// <summary>Quantizes whole rows of floats, from element <paramref name="start"/>; returns the bytes written. The matrix may be null where the type does not require one.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_quantize_chunk")]
    internal static partial nuint GgmlQuantizeChunk(TensorType type, float* src, void* dst, long start, long nRows, long nPerRow, float* imatrix);

    [LibraryImport(Base, EntryPoint = "ggml_quantize_requires_imatrix")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlQuantizeRequiresImatrix(TensorType type);

    /// <summary>False where the bytes cannot be values of the type: a wrong length, or a NaN or infinite scale.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_validate_row_data")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool GgmlValidateRowData(TensorType type, void* data, nuint nBytes);

    /// <summary>What ggml does with a type; it lives as long as the library.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_get_type_traits")]
    internal static partial GgmlTypeTraits* GgmlGetTypeTraits(TensorType type);

    [LibraryImport(Base, EntryPoint = "ggml_nbytes")]
    internal static partial nuint GgmlNBytes(GgmlTensor* tensor);

    [LibraryImport(Base, EntryPoint = "ggml_get_name")]
    internal static partial byte* GgmlGetName(GgmlTensor* tensor);

    /// <summary>Bytes that a tensor's record takes in a context: ggml_object and ggml_tensor.</summary>
    [LibraryImport(Base, EntryPoint = "ggml_tensor_overhead")]
    internal static partial nuint GgmlTensorOverhead();
}

/// <summary>struct ggml_type_traits, up to what is used of it.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlTypeTraits
{
    public byte* TypeName;
    public long BlckSize;
    public long BlckSizeInterleave;
    public nuint TypeSize;
    public byte IsQuantized;
    public delegate* unmanaged<void*, float*, long, void> ToFloat;
}
