using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_batch: tokens to compute, as arrays of <see cref="NTokens"/> that the caller owns for the length of the call.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct LlamaBatch
{
    public int NTokens;

    /// <summary>Token ids, or null when <see cref="Embd"/> is set.</summary>
    public int* Token;
    public float* Embd;

    /// <summary>Null: each sequence goes on where it is.</summary>
    public int* Pos;

    /// <summary>Null, with <see cref="SeqId"/>: everything belongs to sequence 0.</summary>
    public int* NSeqId;
    public int** SeqId;

    /// <summary>Nonzero where logits are wanted. Null: for the last token.</summary>
    public sbyte* Logits;
}
