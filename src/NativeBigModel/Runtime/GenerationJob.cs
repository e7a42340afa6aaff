using System.Diagnostics;

namespace NativeBigModel.Runtime;

/// <summary>One generation: the prompt, then a token of each pass.</summary>
internal sealed class GenerationJob : Job<GenerationStep>, IDisposable
{
    private readonly GenerateOptions _options;
    private readonly Tokenizer _tokenizer;
    private readonly int _length;
    private readonly TextAssembler _text;
    private TokenSampler? _sampler;
    private long _began;
    private long _decoding;
    private TimeSpan _prefill;
    private int _count;
    private int _reused;

    public GenerationJob(IEnumerable<int> prompt, GenerateOptions options, Tokenizer tokenizer, int length, Action roomAgain, CancellationToken cancel)
        : base(prompt, roomAgain, cancel)
    {
        (_options, _tokenizer, _length, _text) = (options, tokenizer, length, new TextAssembler(options.StopStrings));
        if (options.KeepWhenFull is { } keep) Shorten(keep);
    }

    public override bool ReusesPrefix => _options.ReusePrefix;

    public override void Begin(EngineContext context, Slot slot)
    {
        base.Begin(context, slot);
        _began = Stopwatch.GetTimestamp();
        _reused = slot.Tokens.Count;
        _sampler = new TokenSampler(_options, _tokenizer, _length);
        _sampler.AcceptPrompt(Tokens);
    }

    public override Share Take(PassBatch batch, int room, int outputRoom)
    {
        int count = Math.Min(Pending, room);
        return TakePending(batch, count, count == Pending ? 1 : 0);
    }

    public override bool Advance(EngineContext context, Share share)
    {
        if (Pending > 0) return false;
        if (_decoding == 0) (_prefill, _decoding) = (Stopwatch.GetElapsedTime(_began), Stopwatch.GetTimestamp());
        ReadOnlySpan<float> logits = context.Logits(share.FirstOutput);
        int token = _sampler!.Choose(logits);
        if (Emit(token, logits)) return true;
        Tokens.Add(token);
        if (Tokens.Count <= _length) return false;
        Shorten(_options.KeepWhenFull!.Value);
        Slot.Keep(context, _options.KeepWhenFull.Value);
        return false;
    }

    public void Dispose() => _sampler?.Dispose();

    protected override void Release() => Dispose();

    // True where the token is the last.
    private bool Emit(int token, ReadOnlySpan<float> logits)
    {
        _count++;
        bool ends = _tokenizer.IsEndOfGeneration(token) && (!_options.IgnoreEndOfGeneration || _options.Grammar is not null);
        string certain = ends || !_tokenizer.HasText ? "" : _text.Add(_tokenizer.Piece(token));
        FinishReason? finish = ends ? FinishReason.EndOfGeneration
            : _text.Stopped ? FinishReason.StopString
            : _count == _options.MaxNewTokens ? FinishReason.MaxNewTokens
            : Tokens.Count == _length && _options.KeepWhenFull is null ? FinishReason.ContextFull
            : null;
        if (finish is not null) certain += _text.Finish();
        var step = new GenerationStep(token, certain, finish, _prefill, Stopwatch.GetElapsedTime(_decoding)) { ReusedTokens = _reused };
        Output.Add(_options.LogProbs is { } top ? LogProbabilities.Report(step, logits, top) : step);
        return finish is not null;
    }

    private void Shorten(int keep)
    {
        while (Tokens.Count > _length) Tokens.RemoveRange(keep, (Tokens.Count - keep + 1) / 2);
    }
}
