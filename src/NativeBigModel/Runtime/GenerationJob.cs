using System.Diagnostics;
using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>One generation: the prompt, then a token of each pass, or several where guesses were right.</summary>
internal sealed class GenerationJob : Job<GenerationStep>, IDisposable
{
    private readonly GenerateOptions _options;
    private readonly Tokenizer _tokenizer;
    private readonly int _length;
    private readonly TextAssembler _text;
    private readonly List<TokenDistribution> _guessedFrom = [];
    private TokenSampler? _sampler;
    private TokenSampler? _guesser;
    private long _began;
    private long _decoding;
    private TimeSpan _prefill;
    private int _count;
    private int _reused;
    private int _drafted;
    private int _accepted;

    public GenerationJob(IEnumerable<int> prompt, GenerateOptions options, Tokenizer tokenizer, int length, Action roomAgain, CancellationToken cancel)
        : base(prompt, roomAgain, cancel)
    {
        (_options, _tokenizer, _length, _text) = (options, tokenizer, length, new TextAssembler(options.StopStrings));
        if (options.KeepWhenFull is { } keep) Shorten(keep);
    }

    public override bool ReusesPrefix => _options.ReusePrefix;

    /// <summary>Tells what streaming has done, or null where nothing is streamed.</summary>
    public Func<StreamingStats?>? Streaming { get; init; }

    /// <summary>How it guesses ahead, or null.</summary>
    public SpeculationOptions? Speculation => _options.Speculation;

    /// <summary>The draft model's sequence that it guesses in, or null.</summary>
    public Slot? DraftSlot { get; set; }

    /// <summary>What the next pass is to check.</summary>
    public List<int> Guesses { get; } = [];

    /// <summary>Tokens and guesses.</summary>
    public int AheadCount => Tokens.Count + Guesses.Count;

    /// <summary>A token or guess.</summary>
    public int Ahead(int position) => position < Tokens.Count ? Tokens[position] : Guesses[position - Tokens.Count];

    /// <summary>Guesses that may be of use now: those that have a place and would not be the last token, which comes by itself.</summary>
    public int UsefulGuesses => Speculation is { } options && Pending == 1 ? Math.Min(options.MaxTokens, Math.Min(_length - Tokens.Count, _options.MaxNewTokens - _count - 1)) : 0;

    // A draft's own probabilities let more of its guesses be kept than its likeliest token alone would. A grammar decides about tokens one at a time.
    private bool GuessesBySampling => Speculation?.Draft is not null && _options.Temperature > 0 && _options.Grammar is null;

    /// <summary>Leaves out what a pass has checked, or will not check.</summary>
    public void ForgetGuesses()
    {
        Guesses.Clear();
        _guessedFrom.Clear();
    }

    /// <summary>Guesses what followed the same tokens before.</summary>
    public void LookUp(int most)
    {
        foreach (int token in PromptLookup.Guess(CollectionsMarshal.AsSpan(Tokens), most)) Guesses.Add(token);
    }

    /// <summary>Guesses from a row of the draft's logits. False where no guess can follow.</summary>
    public bool AddGuess(ReadOnlySpan<float> logits)
    {
        int token;
        if (GuessesBySampling)
        {
            _guesser ??= new TokenSampler(_options.ForGuesses(), Speculation!.Draft!.Tokenizer, _length);
            TokenDistribution from = _guesser.Distribution(logits);
            token = from.Pick(_guesser.Draw());
            if (token >= _tokenizer.TokenCount) return false;
            _guessedFrom.Add(from);
        }
        else token = DraftModel.Likeliest(logits, _tokenizer.TokenCount);
        Guesses.Add(token);
        return _options.IgnoreEndOfGeneration || !_tokenizer.IsEndOfGeneration(token);
    }

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
        Share share = TakePending(batch, count, count == Pending ? 1 : 0);
        for (int i = 0; i < Guesses.Count; i++) batch.Add(Guesses[i], Tokens.Count + i, Slot.Sequence, output: true);
        return share with { Outputs = share.Outputs + Guesses.Count };
    }

    public override bool Advance(EngineContext context, Share share)
    {
        if (Pending > 0) return false;
        if (_decoding == 0) (_prefill, _decoding) = (Stopwatch.GetElapsedTime(_began), Stopwatch.GetTimestamp());
        _drafted += Guesses.Count;
        bool last, right;
        int checkedGuesses = 0;
        do
        {
            ReadOnlySpan<float> logits = context.Logits(share.FirstOutput + checkedGuesses);
            (int token, right) = Check(logits, checkedGuesses++);
            if (right) _accepted++;
            last = Emit(token, logits);
            if (!last) Tokens.Add(token);
            if (!last && right) Slot.Add([token]);
        }
        while (right && !last);
        if (!last && Tokens.Count > _length)
        {
            Shorten(_options.KeepWhenFull!.Value);
            Slot.Keep(context, _options.KeepWhenFull.Value);
        }
        if (Guesses.Count > 0) Slot.Restore(context);
        ForgetGuesses();
        return last;
    }

    public void Dispose()
    {
        _sampler?.Dispose();
        _guesser?.Dispose();
        if (DraftSlot is not null) DraftModel.Release(Speculation!.Draft!, DraftSlot);
        DraftSlot = null;
    }

    protected override void Release() => Dispose();

    // The token that comes after so many right guesses, and whether the next guess was it.
    private (int Token, bool Right) Check(ReadOnlySpan<float> logits, int guess)
    {
        if (guess < _guessedFrom.Count) return _sampler!.Verify(logits, Guesses[guess], _guessedFrom[guess]);
        // A guess that was not drawn is kept if the model's own choice is the same, which is as likely as it is to be right, and leaves the same seed the same text.
        int token = _sampler!.Choose(logits);
        return (token, guess < Guesses.Count && Guesses[guess] == token);
    }

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
        var step = new GenerationStep(token, certain, finish, _prefill, Stopwatch.GetElapsedTime(_decoding)) { ReusedTokens = _reused, DraftedTokens = _drafted, AcceptedTokens = _accepted };
        if (_count == 1 || finish is not null) step = step with { Streaming = Streaming?.Invoke() };
        Output.Add(_options.LogProbs is { } top ? LogProbabilities.Report(step, logits, top) : step);
        return finish is not null;
    }

    private void Shorten(int keep)
    {
        while (Tokens.Count > _length) Tokens.RemoveRange(keep, (Tokens.Count - keep + 1) / 2);
    }
}
