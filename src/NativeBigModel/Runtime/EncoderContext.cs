using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>The context of a model that encodes, for embeddings or for the decoder behind it. Used by one thread at a time.</summary>
internal sealed unsafe class EncoderContext : IDisposable
{
    private readonly LlamaContextHandle _handle;
    private readonly EngineModel _model;
    private readonly AbortFlag _abort;

    private EncoderContext(LlamaContextHandle handle, EngineModel model, AbortFlag abort, Plan plan)
    {
        _abort = abort;
        (_handle, _model, Length, BatchSize) = (handle, model, plan.ContextLength, Math.Min(plan.BatchSize, plan.ContextLength));
    }

    /// <summary>Tokens that one text may have.</summary>
    public int Length { get; }

    /// <summary>Tokens that are computed at once: the most that can be encoded.</summary>
    public int BatchSize { get; }

    /// <summary>Tokens that were decoded since the context was cleared.</summary>
    public int Used { get; private set; }

    /// <param name="model">The model.</param>
    /// <param name="plan">Its plan.</param>
    /// <param name="embeddings">Whether the vectors behind the last norm are wanted in place of logits.</param>
    /// <exception cref="EngineException">There is not the memory.</exception>
    public static EncoderContext Create(EngineModel model, Plan plan, bool embeddings)
    {
        LlamaContextParams parameters = EngineContexts.Parameters(plan);
        int batch = Math.Min(plan.BatchSize, plan.ContextLength);
        parameters.NCtx = (uint)plan.ContextLength;
        parameters.NBatch = (uint)batch;
        parameters.NUbatch = (uint)batch;
        parameters.NSeqMax = 1;
        parameters.Embeddings = embeddings ? (byte)1 : (byte)0;
        parameters.PoolingType = LlamaPoolingType.None;
        (LlamaContextHandle handle, AbortFlag abort) = EngineContexts.Create(model, parameters);
        return new(handle, model, abort, plan);
    }

    /// <summary>Forgets what was decoded.</summary>
    public void Clear()
    {
        LlamaMemory* memory = LlamaContextApi.LlamaGetMemory(_handle);
        if (memory is not null) LlamaContextApi.LlamaMemoryClear(memory, data: false);
        Used = 0;
    }

    /// <summary>Computes a whole text, for the decoder or for its vectors.</summary>
    /// <exception cref="InvalidOptionException">There is no token, or there are more than <see cref="BatchSize"/>.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    /// <exception cref="EngineException">The engine failed.</exception>
    public void Encode(ReadOnlySpan<int> tokens, CancellationToken cancel)
    {
        if (tokens.IsEmpty) throw new InvalidOptionException("the text has no tokens, and at least 1 is needed");
        if (tokens.Length > BatchSize) throw new InvalidOptionException($"the text has {tokens.Length} tokens, and the plan computes {BatchSize} at once: an encoder needs them all together");
        Compute(tokens, everyOutput: true, encodes: true, cancel);
    }

    /// <summary>Computes tokens after those decoded before; of an encoder-decoder, once a text was encoded.</summary>
    /// <param name="tokens">At most <see cref="BatchSize"/>.</param>
    /// <param name="everyOutput">Whether each token has logits or a vector, and not the last alone.</param>
    /// <param name="cancel">Cancels; the context must be cleared then.</param>
    public void Decode(ReadOnlySpan<int> tokens, bool everyOutput, CancellationToken cancel)
    {
        if (tokens.Length > Length - Used) throw new InvalidOptionException($"{Used + tokens.Length} tokens, and the context was planned for {Length}");
        Compute(tokens, everyOutput, encodes: false, cancel);
        Used += tokens.Length;
    }

    /// <summary>Returns when what was asked for has been computed.</summary>
    public void Wait() => LlamaContextApi.LlamaSynchronize(_handle);

    /// <summary>The logits of a token of the last batch, -1 for the last; valid until the next one.</summary>
    public ReadOnlySpan<float> Logits(int index, int vocabulary) => Row(LlamaContextApi.LlamaGetLogitsIth(_handle, index), index, vocabulary);

    /// <summary>The vector of a token of the last batch; valid until the next one.</summary>
    public ReadOnlySpan<float> Vector(int index, int length) => Row(LlamaContextApi.LlamaGetEmbeddingsIth(_handle, index), index, length);

    public void Dispose()
    {
        _handle.Dispose();
        _abort.Dispose();
    }

    private static ReadOnlySpan<float> Row(float* row, int index, int length) =>
        row is not null ? new(row, length) : throw new EngineException($"llama.cpp computed nothing for token {index} of the batch");

    private void Compute(ReadOnlySpan<int> tokens, bool everyOutput, bool encodes, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        _abort.Lower();
        using CancellationTokenRegistration registration = cancel.UnsafeRegister(static flag => ((AbortFlag)flag!).Raise(), _abort);
        long since = NativeLog.Count;
        sbyte[] outputs = everyOutput ? [.. Enumerable.Repeat((sbyte)1, tokens.Length)] : [];
        fixed (int* ids = tokens)
        fixed (sbyte* wanted = outputs)
        {
            var batch = new LlamaBatch { NTokens = tokens.Length, Token = ids, Logits = everyOutput ? wanted : null };
            LlamaDecodeStatus status = encodes ? LlamaContextApi.LlamaEncode(_handle, batch) : LlamaContextApi.LlamaDecode(_handle, batch);
            if (status == LlamaDecodeStatus.Aborted) throw new OperationCanceledException(cancel);
            if (status != LlamaDecodeStatus.Success)
                throw EngineContexts.Failure($"llama.cpp could not {(encodes ? "encode" : "decode")} {tokens.Length} tokens (status {(int)status})", _model, since);
        }
        _model.RequireWeights();
    }
}
