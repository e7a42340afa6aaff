using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_model_params. Start from <see cref="LlamaModelApi.LlamaModelDefaultParams"/>; a byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaModelParams
{
    /// <summary>Ends with null. Null: every device there is.</summary>
    public GgmlBackendDevice** Devices;

    /// <summary>Ends with an entry whose pattern is null. The first pattern that matches a tensor's name decides.</summary>
    public LlamaModelTensorBuftOverride* TensorBuftOverrides;

    /// <summary>Negative: all layers.</summary>
    public int NGpuLayers;
    public LlamaSplitMode SplitMode;
    public LlamaLoadMode LoadMode;
    public LlamaLazyMode LazyMode;

    /// <summary>The only GPU used, when <see cref="SplitMode"/> is None.</summary>
    public int MainGpu;

    /// <summary>llama_max_devices() proportions, or null.</summary>
    public float* TensorSplit;

    /// <summary>Progress from 0 to 1; returning 0 cancels the load.</summary>
    public delegate* unmanaged[Cdecl]<float, void*, byte> ProgressCallback;
    public void* ProgressCallbackUserData;

    /// <summary>Ends with an entry whose key is empty.</summary>
    public LlamaModelKvOverride* KvOverrides;
    public byte VocabOnly;
    public byte CheckTensors;
    public byte UseExtraBufts;
    public byte NoHost;
    public byte NoAlloc;
    public byte LoadMtp;
}

/// <summary>llama_model_tensor_buft_override: tensors whose names match a C++ regular expression, and where they go.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaModelTensorBuftOverride
{
    public byte* Pattern;
    public GgmlBackendBufferType* Buft;
}

/// <summary>llama_model_kv_override. The four values share their bytes.</summary>
[StructLayout(LayoutKind.Explicit, Size = 264)]
internal unsafe struct LlamaModelKvOverride
{
    [FieldOffset(0)] public LlamaModelKvOverrideType Tag;
    [FieldOffset(4)] public fixed byte Key[128];
    [FieldOffset(136)] public long ValI64;
    [FieldOffset(136)] public double ValF64;
    [FieldOffset(136)] public byte ValBool;
    [FieldOffset(136)] public fixed byte ValStr[128];
}
