using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_context_params. Start from <see cref="LlamaContextApi.LlamaContextDefaultParams"/>; a byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaContextParams
{
    /// <summary>Tokens; 0: as many as the model was trained with.</summary>
    public uint NCtx;

    /// <summary>The most tokens that one llama_decode may get.</summary>
    public uint NBatch;

    /// <summary>The most tokens that are computed at once.</summary>
    public uint NUbatch;
    public uint NSeqMax;
    public uint NRsSeq;
    public uint NOutputsMax;
    public uint NOutputsMaxPerSeq;
    public int NThreads;
    public int NThreadsBatch;
    public LlamaContextType CtxType;
    public LlamaRopeScalingType RopeScalingType;
    public LlamaPoolingType PoolingType;
    public LlamaAttentionType AttentionType;
    public LlamaFlashAttnType FlashAttnType;
    public float RopeFreqBase;
    public float RopeFreqScale;
    public float YarnExtFactor;
    public float YarnAttnFactor;
    public float YarnBetaFast;
    public float YarnBetaSlow;
    public uint YarnOrigCtx;
    public float DefragThold;
    public delegate* unmanaged[Cdecl]<GgmlTensor*, byte, void*, byte> CbEval;
    public void* CbEvalUserData;
    public TensorType TypeK;
    public TensorType TypeV;

    /// <summary>Asked between graph nodes on the CPU; returning 1 makes llama_decode return 2.</summary>
    public delegate* unmanaged[Cdecl]<void*, byte> AbortCallback;
    public void* AbortCallbackData;
    public byte Embeddings;
    public byte OffloadKqv;
    public byte NoPerf;
    public byte OpOffload;
    public byte SwaFull;
    public byte KvUnified;
    public void* Samplers;
    public nuint NSamplers;
    public void* CtxOther;
}
