using NativeBigModel.Native;

namespace NativeBigModel.Tests;

/// <summary>llama.cpp as anyone has it: it opens the file itself, on its CPU backend, and nothing of this library takes part.</summary>
internal static unsafe class StockLlama
{
    /// <summary>Logits of each token; of an encoder, the vectors behind its last norm.</summary>
    /// <param name="file">A GGUF file.</param>
    /// <param name="ids">The tokens; of an encoder-decoder, the decoder's.</param>
    /// <param name="encoded">What its encoder reads.</param>
    public static float[] Compute(string file, int[] ids, int[]? encoded = null)
    {
        EngineLibrary.Load();
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        nint none = 0;
        parameters.Devices = (GgmlBackendDevice**)&none;
        using LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile(file, parameters);
        Assert.False(model.IsInvalid, $"llama.cpp does not open {file}");
        LlamaContextParams options = LlamaContextApi.LlamaContextDefaultParams();
        uint tokens = (uint)Math.Max(ids.Length, encoded?.Length ?? 0);
        (options.NCtx, options.NBatch, options.NUbatch, options.NSeqMax, options.NOutputsMax) = (tokens, tokens, tokens, 1, tokens);
        (options.TypeK, options.TypeV, options.FlashAttnType) = (TensorType.F32, TensorType.F32, LlamaFlashAttnType.Disabled);
        (options.NThreads, options.NThreadsBatch) = (2, 2);
        options.PoolingType = LlamaPoolingType.None;
        using LlamaContextHandle probe = LlamaContextHandle.Create(model, options);
        Assert.False(probe.IsInvalid);
        bool vectors = LlamaContextApi.LlamaGetMemory(probe) is null;
        options.Embeddings = vectors ? (byte)1 : (byte)0;
        using LlamaContextHandle context = LlamaContextHandle.Create(model, options);
        if (encoded is not null) Require(context, encoded, LlamaContextApi.LlamaEncode);
        Require(context, ids, vectors ? LlamaContextApi.LlamaEncode : LlamaContextApi.LlamaDecode);
        int length = vectors ? LlamaModelApi.LlamaModelNEmbdOut(model) : LlamaVocabApi.LlamaVocabNTokens(LlamaModelApi.LlamaModelGetVocab(model));
        List<float> all = [];
        for (int i = 0; i < ids.Length; i++)
        {
            float* row = vectors ? LlamaContextApi.LlamaGetEmbeddingsIth(context, i) : LlamaContextApi.LlamaGetLogitsIth(context, i);
            all.AddRange(new ReadOnlySpan<float>(row, length).ToArray());
        }
        return [.. all];
    }

    private static void Require(LlamaContextHandle context, int[] ids, Func<LlamaContextHandle, LlamaBatch, LlamaDecodeStatus> compute)
    {
        sbyte[] outputs = [.. Enumerable.Repeat((sbyte)1, ids.Length)];
        fixed (int* tokens = ids)
        fixed (sbyte* wanted = outputs) Assert.Equal(LlamaDecodeStatus.Success, compute(context, new LlamaBatch { NTokens = ids.Length, Token = tokens, Logits = wanted }));
    }
}
