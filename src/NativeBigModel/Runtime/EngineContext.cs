using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>The KV cache of a plan's sequences, and the buffers they are computed in. Used by one thread at a time.</summary>
internal sealed unsafe class EngineContext : IDisposable
{
    // Positions of one pass whose logits are computed: so many for one sequence, and so many for each of several. More would reserve vocabulary-sized rows.
    private const int MinOutputs = 16;
    private const int OutputsPerSequence = 8;

    private readonly LlamaContextHandle _handle;
    private readonly EngineModel _model;
    private readonly AbortFlag _abort;
    private readonly int _vocabulary;
    private readonly int _window;

    private EngineContext(LlamaContextHandle handle, EngineModel model, AbortFlag abort, Plan plan, int batchSize, int outputs, bool sharesCells, int vocabulary)
    {
        _abort = abort;
        (_handle, _model, _vocabulary) = (handle, model, vocabulary);
        (Length, Sequences) = (plan.ContextLength, plan.Sessions);
        _window = LlamaModelApi.LlamaModelNSwa(model.Handle);
        KeepsParts = !LlamaModelApi.LlamaModelIsRecurrent(model.Handle) && !LlamaModelApi.LlamaModelIsHybrid(model.Handle);
        CanShare = sharesCells && KeepsParts && _window == 0;
        Batch = new PassBatch(batchSize, outputs);
    }

    public LlamaContextHandle Handle => _handle;

    /// <summary>Tokens that each sequence may hold.</summary>
    public int Length { get; }

    /// <summary>Sequences that it holds.</summary>
    public int Sequences { get; }

    /// <summary>Whether a sequence can forget its last tokens and keep the others: not where it has one state for all of them.</summary>
    public bool KeepsParts { get; }

    /// <summary>Whether several sequences may have the cells of a common beginning. Windows reuse cells that one sequence has left behind, and no cell that another still has.</summary>
    public bool CanShare { get; }

    /// <summary>What <see cref="Compute"/> computes.</summary>
    public PassBatch Batch { get; }

    private LlamaMemory* Memory => LlamaContextApi.LlamaGetMemory(_handle);

    /// <exception cref="EngineException">There is not the memory.</exception>
    public static EngineContext Create(EngineModel model, Plan plan, bool sharesCells, int vocabulary)
    {
        LlamaContextParams parameters = EngineContexts.Parameters(plan);
        long length = plan.Sessions * (plan.Sessions > 1 ? KvCache.Pad(plan.ContextLength) : plan.ContextLength);
        if (length > uint.MaxValue) throw new InvalidOptionException($"{plan.Sessions} sessions of {plan.ContextLength} tokens: llama.cpp counts {uint.MaxValue} tokens at most");
        int batch = (int)Math.Min(plan.BatchSize, plan.Sessions * (long)plan.ContextLength);
        // llama.cpp asserts a row of logits for each sequence.
        int outputs = Math.Max(plan.Sessions, Math.Min(batch, Math.Max(MinOutputs, OutputsPerSequence * plan.Sessions)));
        parameters.NCtx = (uint)length;
        parameters.NBatch = (uint)batch;
        parameters.NUbatch = (uint)batch;
        parameters.NSeqMax = (uint)plan.Sessions;
        parameters.NOutputsMax = (uint)outputs;
        parameters.KvUnified = sharesCells ? (byte)1 : (byte)0;
        (LlamaContextHandle handle, AbortFlag abort) = EngineContexts.Create(model, parameters);
        return new EngineContext(handle, model, abort, plan, batch, outputs, sharesCells, vocabulary);
    }

    /// <summary>Computes the batch. False where it was aborted: then sequences hold what they held before, or less.</summary>
    /// <param name="vectors">Whether the vectors behind the last norm are wanted too; then every token of the batch must be an output, or the process is aborted.</param>
    /// <exception cref="EngineException">The engine failed; the sequences of the batch must be forgotten.</exception>
    /// <exception cref="CheckpointException">Weights are not there any more; the same.</exception>
    public bool Compute(bool vectors = false)
    {
        long since = NativeLog.Count;
        LlamaContextApi.LlamaSetEmbeddings(_handle, vectors && Batch.Outputs == Batch.Count);
        foreach (StreamingDevice device in _model.Streams.Values) device.Expect(Batch.Count);
        LlamaDecodeStatus status = LlamaContextApi.LlamaDecode(_handle, Batch.Native);
        if (status == LlamaDecodeStatus.Aborted) return false;
        if (status != LlamaDecodeStatus.Success) throw EngineContexts.Failure($"llama.cpp could not compute {Batch.Count} tokens (status {(int)status})", _model, since);
        LlamaContextApi.LlamaSynchronize(_handle);
        _model.RequireWeights();
        return true;
    }

    /// <summary>Makes the pass that is being computed, or the next one, end early. From any thread, while the context is not disposed of.</summary>
    public void Abort() => _abort.Raise();

    /// <summary>Takes back <see cref="Abort"/>.</summary>
    public void Rearm() => _abort.Lower();

    /// <summary>Forgets what a sequence holds from a position on. Returns the tokens that it still holds: that many, or none where it cannot keep a part.</summary>
    public int Keep(int sequence, int count)
    {
        // A windowed layer must still have what the next token reaches back to.
        bool whole = count > 0 && (_window == 0 || LlamaContextApi.LlamaMemorySeqPosMin(Memory, sequence) <= Math.Max(0, count - _window));
        if (whole && LlamaContextApi.LlamaMemorySeqRm(Memory, sequence, count, -1)) return count;
        LlamaContextApi.LlamaMemorySeqRm(Memory, sequence, -1, -1);
        return 0;
    }

    /// <summary>Gives an empty sequence the beginning of another, where <see cref="CanShare"/>.</summary>
    public void Share(int from, int to, int count) => LlamaContextApi.LlamaMemorySeqCp(Memory, from, to, 0, count);

    /// <summary>The logits of a token of the last batch; valid until the next one.</summary>
    public ReadOnlySpan<float> Logits(int index)
    {
        float* row = LlamaContextApi.LlamaGetLogitsIth(_handle, index);
        return row is not null ? new ReadOnlySpan<float>(row, _vocabulary) : throw new EngineException($"llama.cpp computed no logits for token {index} of the batch");
    }

    /// <summary>The vector of a token of the last batch, if that was computed with vectors; valid until the next one.</summary>
    public ReadOnlySpan<float> Vector(int index, int length)
    {
        float* row = LlamaContextApi.LlamaGetEmbeddingsIth(_handle, index);
        return row is not null ? new ReadOnlySpan<float>(row, length) : throw new EngineException($"llama.cpp computed no vector for token {index} of the batch");
    }

    /// <summary>Everything that a sequence holds, in memory that the caller disposes of.</summary>
    /// <exception cref="EngineException">The engine failed.</exception>
    public NativeBuffer SaveState(int sequence)
    {
        long since = NativeLog.Count;
        var buffer = new NativeBuffer((long)LlamaContextApi.LlamaStateSeqGetSize(_handle, sequence));
        nuint written = LlamaContextApi.LlamaStateSeqGetData(_handle, buffer.Bytes, (nuint)buffer.Length, sequence);
        if ((long)written == buffer.Length && buffer.Length > 0) return buffer;
        buffer.Dispose();
        throw new EngineException($"llama.cpp saved {written} of {buffer.Length} bytes of a sequence: {NativeLog.ErrorText(since)}");
    }

    /// <summary>Makes a sequence hold what <see cref="SaveState"/> gave; the bytes were checked. False where llama.cpp refuses them: then it is empty.</summary>
    public bool RestoreState(int sequence, NativeBuffer state, int tokens)
    {
        nuint read = LlamaContextApi.LlamaStateSeqSetData(_handle, state.Bytes, (nuint)state.Length, sequence);
        if ((long)read == state.Length && LlamaContextApi.LlamaMemorySeqPosMax(Memory, sequence) == tokens - 1) return true;
        Keep(sequence, 0);
        return false;
    }

    public void Dispose()
    {
        _handle.Dispose();
        _abort.Dispose();
    }
}
