using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama.h: contexts, their memory (the KV cache), computing, logits.</summary>
internal static unsafe partial class LlamaContextApi
{
    private const string Llama = EngineLibrary.Llama;

    [LibraryImport(Llama, EntryPoint = "llama_context_default_params")]
    internal static partial LlamaContextParams LlamaContextDefaultParams();

    /// <summary>Does not keep the model alive: use <see cref="LlamaContextHandle.Create"/>.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_init_from_model")]
    internal static partial LlamaContextHandle LlamaInitFromModel(LlamaModelHandle model, LlamaContextParams parameters);

    [LibraryImport(Llama, EntryPoint = "llama_free")]
    internal static partial void LlamaFree(nint context);

    [LibraryImport(Llama, EntryPoint = "llama_n_ctx")]
    internal static partial uint LlamaNCtx(LlamaContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_batch")]
    internal static partial uint LlamaNBatch(LlamaContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_ubatch")]
    internal static partial uint LlamaNUbatch(LlamaContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_n_seq_max")]
    internal static partial uint LlamaNSeqMax(LlamaContextHandle context);

    /// <summary>Lives as long as the context; null for a model without memory.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_get_memory")]
    internal static partial LlamaMemory* LlamaGetMemory(LlamaContextHandle context);

    [LibraryImport(Llama, EntryPoint = "llama_memory_clear")]
    internal static partial void LlamaMemoryClear(LlamaMemory* memory, [MarshalAs(UnmanagedType.U1)] bool data);

    /// <summary>Forgets positions [p0, p1) of a sequence; a negative bound is open. False where the memory cannot forget a part.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_rm")]
    [return: MarshalAs(UnmanagedType.U1)]
    internal static partial bool LlamaMemorySeqRm(LlamaMemory* memory, int seqId, int p0, int p1);

    /// <summary>Gives positions [p0, p1) of a sequence to another as well. Where each sequence has cells of its own, aborts the process unless it is the whole sequence.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_cp")]
    internal static partial void LlamaMemorySeqCp(LlamaMemory* memory, int seqIdSrc, int seqIdDst, int p0, int p1);

    /// <summary>The first position that every layer still has of a sequence, or -1 where it is empty.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_pos_min")]
    internal static partial int LlamaMemorySeqPosMin(LlamaMemory* memory, int seqId);

    /// <summary>The last position of a sequence, or -1 where it is empty.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_memory_seq_pos_max")]
    internal static partial int LlamaMemorySeqPosMax(LlamaMemory* memory, int seqId);

    /// <summary>Aborts the process on a batch that has neither tokens nor embeddings; every other invalid batch is answered.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_encode")]
    internal static partial LlamaDecodeStatus LlamaEncode(LlamaContextHandle context, LlamaBatch batch);

    /// <summary>Aborts the process on a batch that has neither tokens nor embeddings; every other invalid batch is answered.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_decode")]
    internal static partial LlamaDecodeStatus LlamaDecode(LlamaContextHandle context, LlamaBatch batch);

    /// <summary>The threads must outlive the context.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_attach_threadpool")]
    internal static partial void LlamaAttachThreadpool(LlamaContextHandle context, nint decoding, nint batches);

    [LibraryImport(Llama, EntryPoint = "llama_set_n_threads")]
    internal static partial void LlamaSetNThreads(LlamaContextHandle context, int nThreads, int nThreadsBatch);

    /// <summary>Whether later passes give vectors besides logits: then each of their tokens is an output, whatever the batch says, and more than NOutputsMax of them abort the process.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_set_embeddings")]
    internal static partial void LlamaSetEmbeddings(LlamaContextHandle context, [MarshalAs(UnmanagedType.U1)] bool embeddings);

    [LibraryImport(Llama, EntryPoint = "llama_set_abort_callback")]
    internal static partial void LlamaSetAbortCallback(LlamaContextHandle context, delegate* unmanaged[Cdecl]<void*, byte> callback, void* data);

    [LibraryImport(Llama, EntryPoint = "llama_synchronize")]
    internal static partial void LlamaSynchronize(LlamaContextHandle context);

    /// <summary>A row of n_vocab floats for each token that asked for logits; valid until the next decode.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_get_logits")]
    internal static partial float* LlamaGetLogits(LlamaContextHandle context);

    /// <summary>The row of batch token <paramref name="i"/>, or from the end where negative; null where it has none.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_get_logits_ith")]
    internal static partial float* LlamaGetLogitsIth(LlamaContextHandle context, int i);

    /// <summary>The vector of batch token <paramref name="i"/> behind the last norm, in a context made for embeddings without pooling; null where it has none.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_get_embeddings_ith")]
    internal static partial float* LlamaGetEmbeddingsIth(LlamaContextHandle context, int i);

    /// <summary>Bytes of a sequence's state; 0 where the engine failed.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_state_seq_get_size")]
    internal static partial nuint LlamaStateSeqGetSize(LlamaContextHandle context, int seqId);

    /// <summary>Copies a sequence's state out. Returns the bytes written, 0 where the engine failed.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_state_seq_get_data")]
    internal static partial nuint LlamaStateSeqGetData(LlamaContextHandle context, byte* dst, nuint size, int seqId);

    /// <summary>Replaces a sequence by a state. Returns the bytes read, 0 where the engine refused them; some bytes abort the process: check them first.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_state_seq_set_data")]
    internal static partial nuint LlamaStateSeqSetData(LlamaContextHandle context, byte* src, nuint size, int destSeqId);
}
