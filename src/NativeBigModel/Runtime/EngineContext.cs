using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>The KV cache and compute buffers of one conversation. Used by one thread at a time.</summary>
internal sealed unsafe class EngineContext : IDisposable
{
    // Positions of one batch whose logits are computed. More would reserve vocabulary-sized rows for each.
    private const int MaxOutputs = 16;

    private readonly LlamaContextHandle _handle;
    private readonly int* _abort;
    private readonly int _batchSize;
    private readonly int _vocabulary;

    private readonly StreamingDevice? _streaming;

    private EngineContext(LlamaContextHandle handle, StreamingDevice? streaming, int* abort, int batchSize, int vocabulary, int length)
    {
        _abort = abort;
        _streaming = streaming;
        (_handle, _batchSize, _vocabulary, Length) = (handle, batchSize, vocabulary, length);
    }

    /// <summary>Tokens that it may hold.</summary>
    public int Length { get; }

    /// <summary>Tokens that it holds.</summary>
    public int Used { get; private set; }

    public LlamaContextHandle Handle => _handle;

    /// <exception cref="EngineException">There is not the memory.</exception>
    public static EngineContext Create(EngineModel model, Plan plan, int vocabulary)
    {
        LlamaContextParams parameters = LlamaContextApi.LlamaContextDefaultParams();
        int batch = Math.Min(plan.BatchSize, plan.ContextLength);
        parameters.NCtx = (uint)plan.ContextLength;
        parameters.NBatch = (uint)batch;
        parameters.NUbatch = (uint)batch;
        parameters.NSeqMax = 1;
        parameters.NOutputsMax = (uint)Math.Min(MaxOutputs, batch);
        parameters.TypeK = plan.KvType;
        parameters.TypeV = plan.KvType;
        parameters.FlashAttnType = plan.FlashAttention ? LlamaFlashAttnType.Auto : LlamaFlashAttnType.Disabled;
        parameters.SwaFull = 0;
        parameters.NoPerf = 1;
        parameters.NThreads = plan.Threads ?? DefaultThreads(plan);
        parameters.NThreadsBatch = parameters.NThreads;
        var abort = (int*)NativeMemory.AllocZeroed(sizeof(int));
        parameters.AbortCallback = &ShouldAbort;
        parameters.AbortCallbackData = abort;
        long since = NativeLog.Count;
        LlamaContextHandle handle = LlamaContextHandle.Create(model.Handle, parameters);
        if (!handle.IsInvalid) return new EngineContext(handle, model.Streaming, abort, batch, vocabulary, plan.ContextLength);
        NativeMemory.Free(abort);
        throw new EngineException($"llama.cpp could not make a context of {plan.ContextLength} tokens: {NativeLog.ErrorText(since)}");
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        LlamaContextApi.LlamaMemoryClear(LlamaContextApi.LlamaGetMemory(_handle), data: false);
        Used = 0;
    }

    /// <summary>Computes tokens after those it holds, and the logits of the last one.</summary>
    /// <exception cref="OperationCanceledException">Cancelled; the context must be cleared.</exception>
    /// <exception cref="EngineException">The engine failed.</exception>
    public void Append(ReadOnlySpan<int> tokens, CancellationToken cancel)
    {
        while (!tokens.IsEmpty)
        {
            int count = Math.Min(_batchSize, tokens.Length);
            Decode(tokens[..count], allLogits: false, cancel);
            tokens = tokens[count..];
        }
    }

    /// <summary>Returns when what was appended has been computed; a GPU may still be at work until then.</summary>
    public void Wait() => LlamaContextApi.LlamaSynchronize(_handle);

    /// <summary>Computes a few tokens and the logits of each: at most what one call may return. Gives the number of tokens taken.</summary>
    public int AppendWithLogits(ReadOnlySpan<int> tokens, CancellationToken cancel)
    {
        int count = Math.Min(Math.Min(MaxOutputs, _batchSize), tokens.Length);
        Decode(tokens[..count], allLogits: true, cancel);
        return count;
    }

    /// <summary>The logits of a token of the last batch, -1 for the last; valid until the next one.</summary>
    public ReadOnlySpan<float> Logits(int index)
    {
        float* row = LlamaContextApi.LlamaGetLogitsIth(_handle, index);
        return row is not null ? new ReadOnlySpan<float>(row, _vocabulary) : throw new EngineException($"llama.cpp computed no logits for token {index} of the batch");
    }

    public void Dispose()
    {
        _handle.Dispose();
        NativeMemory.Free(_abort);
    }

    private void Decode(ReadOnlySpan<int> tokens, bool allLogits, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        if (tokens.Length > Length - Used) throw new InvalidOptionException($"{Used + tokens.Length} tokens, and the context was planned for {Length}");
        sbyte* outputs = stackalloc sbyte[MaxOutputs];
        new Span<sbyte>(outputs, MaxOutputs).Fill(1);
        Volatile.Write(ref *_abort, 0);
        nint flag = (nint)_abort;
        using CancellationTokenRegistration registration = cancel.UnsafeRegister(static state => Volatile.Write(ref *(int*)(nint)state!, 1), flag);
        long since = NativeLog.Count;
        fixed (int* ids = tokens)
        {
            var batch = new LlamaBatch { NTokens = tokens.Length, Token = ids, Logits = allLogits ? outputs : null };
            LlamaDecodeStatus status = LlamaContextApi.LlamaDecode(_handle, batch);
            if (status == LlamaDecodeStatus.Aborted) throw new OperationCanceledException(cancel);
            if (status != LlamaDecodeStatus.Success) throw Failure($"llama.cpp could not compute {tokens.Length} tokens at position {Used} (status {(int)status})", since);
        }
        Used += tokens.Length;
    }

    // ggml's threads wait for each other by spinning: one that shares its core with the loader holds up all of them.
    private static int DefaultThreads(Plan plan) => plan.Streams && Environment.ProcessorCount > 2 ? Environment.ProcessorCount - 1 : Environment.ProcessorCount;

    // A layer that could not be streamed is the cause; what llama.cpp says of the failed graph is not.
    private EngineException Failure(string what, long since) =>
        new($"{what}: {(_streaming?.TakeError() is { Length: > 0 } reason ? reason : NativeLog.ErrorText(since))}");

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte ShouldAbort(void* data) => Volatile.Read(ref *(int*)data) != 0 ? (byte)1 : (byte)0;
}
