using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>ggml_tensor, as the engine hands it to callbacks. <see cref="Ne"/> are extents, innermost first; <see cref="Nb"/> strides in bytes.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct GgmlTensor
{
    public TensorType Type;
    public GgmlBackendBuffer* Buffer;
    public fixed long Ne[4];
    public fixed ulong Nb[4];
    public int Op;
    public fixed int OpParams[16];
    public int Flags;
    public fixed ulong Src[10];
    public GgmlTensor* ViewSrc;
    public nuint ViewOffs;
    public void* Data;
    public fixed byte Name[64];
    public void* Extra;
    public fixed byte Padding[8];
}
