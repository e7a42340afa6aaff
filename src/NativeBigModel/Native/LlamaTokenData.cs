using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_token_data: a candidate for the next token.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LlamaTokenData
{
    public int Id;
    public float Logit;
    public float P;
}

/// <summary>llama_token_data_array. Samplers change it in place, and may point <see cref="Data"/> elsewhere.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaTokenDataArray
{
    public LlamaTokenData* Data;
    public nuint Size;

    /// <summary>An index into <see cref="Data"/>, not a token id; -1 while nothing is chosen.</summary>
    public long Selected;
    public byte Sorted;
}
