using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

internal static unsafe class Decoding
{
    public static LlamaDecodeStatus Run(LlamaContextHandle context, int[] tokens)
    {
        fixed (int* token = tokens) return LlamaContextApi.LlamaDecode(context, new LlamaBatch { NTokens = tokens.Length, Token = token });
    }

    /// <summary>A copy of the last token's logits.</summary>
    public static float[] Logits(LlamaContextHandle context) =>
        new ReadOnlySpan<float>(LlamaContextApi.LlamaGetLogitsIth(context, -1), TinyModel.Vocabulary).ToArray();
}
