using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_model_quantize_params. A byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaModelQuantizeParams
{
    /// <summary>0 or less: every core.</summary>
    public int NThread;

    /// <summary>llama_ftype's number.</summary>
    public int Ftype;
    public TensorType OutputTensorType;
    public TensorType TokenEmbeddingType;
    public byte AllowRequantize;
    public byte QuantizeOutputTensor;
    public byte OnlyCopy;
    public byte Pure;
    public byte KeepSplit;
    public byte DryRun;
    public void* Imatrix;
    public LlamaModelKvOverride* KvOverrides;
    public void* TtOverrides;
    public int* PruneLayers;
    public nuint MaxBufSize;
}
