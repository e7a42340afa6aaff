using System.Diagnostics;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>A model that reads one text and writes another. One text at a time: llama.cpp keeps what its encoder computed once for a whole context.</summary>
internal sealed class EncoderDecoder : IAsyncDisposable
{
    private readonly EncoderContext _context;
    private readonly Tokenizer _tokenizer;
    private readonly int _start;
    private readonly WorkTurns _turns = new();

    /// <summary>Tells what streaming has done, or null where nothing is streamed.</summary>
    public required Func<StreamingStats?> Streaming { get; init; }

    /// <exception cref="UnsupportedModelException">The model names no token to begin with, or one that it has not.</exception>
    public EncoderDecoder(EngineModel model, Plan plan, Tokenizer tokenizer)
    {
        _tokenizer = tokenizer;
        _start = LlamaModelApi.LlamaModelDecoderStartToken(model.Handle);
        if (_start < 0 || _start >= tokenizer.TokenCount)
            throw new UnsupportedModelException($"decoder_start_token_id: is {_start}, and the decoder begins with one of {tokenizer.TokenCount} tokens");
        _context = EncoderContext.Create(model, plan, embeddings: false);
    }

    /// <summary>Generates the answer to a text.</summary>
    /// <exception cref="InvalidOptionException">An option is one that only models without an encoder have.</exception>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(int[] text, GenerateOptions options, CancellationToken cancel)
    {
        if (options.KeepWhenFull is not null) throw new InvalidOptionException($"{nameof(options.KeepWhenFull)}: the answers of a model with an encoder end where the context does");
        if (options.LogProbs is not null) throw new InvalidOptionException($"{nameof(options.LogProbs)}: a model with an encoder tells no probabilities");
        return _turns.Stream<GenerationStep>((emit, stop) => Generate(text, options, emit, stop), cancel);
    }

    /// <summary>The logits at each token of an answer to a text.</summary>
    public IAsyncEnumerable<float[]> ComputeLogitsAsync(int[] text, int[] answer, CancellationToken cancel) => _turns.Stream<float[]>((emit, stop) =>
    {
        _context.Clear();
        _context.Encode(text, stop);
        foreach (int[] part in answer.Chunk(_context.BatchSize))
        {
            _context.Decode(part, everyOutput: true, stop);
            for (int i = 0; i < part.Length; i++) emit(_context.Logits(i, _tokenizer.TokenCount).ToArray());
        }
    }, cancel);

    public async ValueTask DisposeAsync()
    {
        await _turns.DisposeAsync().ConfigureAwait(false);
        _context.Dispose();
    }

    private void Generate(int[] source, GenerateOptions options, Action<GenerationStep> emit, CancellationToken cancel)
    {
        _context.Clear();
        long started = Stopwatch.GetTimestamp();
        _context.Encode(source, cancel);
        int[] begun = options.AnswerStart.IsDefaultOrEmpty ? [_start] : [.. options.AnswerStart];
        foreach (int[] part in begun.Chunk(_context.BatchSize)) _context.Decode(part, everyOutput: false, cancel);
        _context.Wait();
        TimeSpan prefill = Stopwatch.GetElapsedTime(started);
        long decoding = Stopwatch.GetTimestamp();
        using var sampler = new TokenSampler(options, _tokenizer, _context.Length);
        sampler.AcceptPrompt(begun);
        var text = new TextAssembler(options.StopStrings);
        for (int count = 1; count <= options.MaxNewTokens; count++)
        {
            cancel.ThrowIfCancellationRequested();
            int token = sampler.Choose(_context.Logits(-1, _tokenizer.TokenCount));
            bool ends = _tokenizer.IsEndOfGeneration(token) && !options.IgnoreEndOfGeneration;
            string certain = ends || !_tokenizer.HasText ? "" : text.Add(_tokenizer.Piece(token));
            FinishReason? finish = ends ? FinishReason.EndOfGeneration
                : text.Stopped ? FinishReason.StopString
                : count == options.MaxNewTokens ? FinishReason.MaxNewTokens
                : _context.Used == _context.Length ? FinishReason.ContextFull
                : null;
            if (finish is not null) certain += text.Finish();
            emit(new GenerationStep(token, certain, finish, prefill, Stopwatch.GetElapsedTime(decoding)) { Streaming = count == 1 || finish is not null ? Streaming() : null });
            if (finish is not null) return;
            _context.Decode([token], everyOutput: false, cancel);
        }
    }
}
