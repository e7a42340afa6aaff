using System.Numerics.Tensors;
using System.Security.Cryptography;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>Chooses tokens: llama.cpp's samplers say which may come and how likely each is, and a seeded draw says which does.</summary>
internal sealed unsafe class TokenSampler : IDisposable
{
    private readonly GenerateOptions _options;
    private readonly LlamaSamplerHandle _penalties = NewChain();
    private readonly LlamaSamplerHandle _answerPenalties = NewChain();
    private readonly LlamaSamplerHandle _cuts = NewChain();
    private readonly LlamaTokenData[] _candidates;
    private readonly TokenGrammar? _grammar;
    private SeededRandom _random;

    public TokenSampler(GenerateOptions options, Tokenizer tokenizer, int contextLength)
    {
        _options = options;
        int vocabulary = tokenizer.TokenCount;
        _candidates = new LlamaTokenData[vocabulary];
        // A null draws from the whole range; a seed stands for itself.
        _random = new SeededRandom(options.Seed ?? BitConverter.ToUInt64(RandomNumberGenerator.GetBytes(sizeof(ulong))));
        if (options.RepetitionPenalty != 1) Add(_penalties, LlamaSamplerApi.LlamaSamplerInitPenalties(vocabulary, contextLength, options.RepetitionPenalty, 0, 0));
        if (options.PenalizesAnswer) Add(_answerPenalties, LlamaSamplerApi.LlamaSamplerInitPenalties(vocabulary, contextLength, 1, options.FrequencyPenalty, options.PresencePenalty));
        if (!Greedy)
        {
            Add(_cuts, LlamaSamplerApi.LlamaSamplerInitTemp(options.Temperature));
            if (options.TopK > 0) Add(_cuts, LlamaSamplerApi.LlamaSamplerInitTopK(options.TopK));
            if (options.TopP < 1) Add(_cuts, LlamaSamplerApi.LlamaSamplerInitTopP(options.TopP, 1));
            if (options.MinP > 0) Add(_cuts, LlamaSamplerApi.LlamaSamplerInitMinP(options.MinP, 1));
        }
        try
        {
            _grammar = options.Grammar is { } text ? new TokenGrammar(text, tokenizer) : null;
            _grammar?.Begin(options.GrammarBegun);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    private bool Greedy => _options.Temperature == 0;

    private bool Plain => _options.RepetitionPenalty == 1 && !_options.PenalizesAnswer && _options.LogitBias.IsEmpty;

    /// <summary>Notes the tokens of a prompt.</summary>
    public void AcceptPrompt(IReadOnlyList<int> tokens)
    {
        if (_options.RepetitionPenalty == 1) return;
        foreach (int token in tokens) LlamaSamplerApi.LlamaSamplerAccept(_penalties, token);
    }

    /// <summary>Chooses from a row of logits, and notes the choice.</summary>
    /// <exception cref="EngineException">No token of the vocabulary may come.</exception>
    public int Choose(ReadOnlySpan<float> logits)
    {
        // Nearly always the grammar allows the choice, and asking it about one token is much cheaper than about all.
        int token = ChooseFrom(logits, allowed: false);
        if (_grammar?.Allows(token) == false) token = ChooseFrom(logits, allowed: true);
        Accept(token);
        return token;
    }

    /// <summary>Notes a token that was chosen from <see cref="Distribution"/>.</summary>
    public void Accept(int token)
    {
        if (_options.RepetitionPenalty != 1) LlamaSamplerApi.LlamaSamplerAccept(_penalties, token);
        if (_options.PenalizesAnswer) LlamaSamplerApi.LlamaSamplerAccept(_answerPenalties, token);
        _grammar?.Accept(token);
    }

    /// <summary>
    /// Keeps a guess that was drawn from <paramref name="from"/>, or chooses another token, so that either way the token has the probability that <see cref="Distribution"/> gives it
    /// (Leviathan, Kalman and Matias, Fast Inference from Transformers via Speculative Decoding, 2023); and notes it.
    /// </summary>
    public (int Token, bool Kept) Verify(ReadOnlySpan<float> logits, int guess, TokenDistribution from)
    {
        TokenDistribution own = Distribution(logits);
        bool kept = Draw() * from[guess] < own[guess];
        int token = kept ? guess : own.Beyond(from).Pick(Draw());
        Accept(token);
        return (token, kept);
    }

    /// <summary>A number from 0 to below 1.</summary>
    public double Draw() => _random.Next();

    /// <summary>The probabilities from which <see cref="Choose"/> draws, where there is no grammar and the temperature is above 0.</summary>
    public TokenDistribution Distribution(ReadOnlySpan<float> logits)
    {
        fixed (LlamaTokenData* data = _candidates)
        {
            LlamaTokenDataArray candidates = Fill(logits, data, allowed: false);
            LlamaSamplerApi.LlamaSamplerApply(_cuts, ref candidates);
            return TokenDistribution.Of(new ReadOnlySpan<LlamaTokenData>(candidates.Data, (int)candidates.Size));
        }
    }

    public void Dispose()
    {
        _penalties.Dispose();
        _answerPenalties.Dispose();
        _cuts.Dispose();
        _grammar?.Dispose();
    }

    private int ChooseFrom(ReadOnlySpan<float> logits, bool allowed)
    {
        if (Greedy && Plain && !allowed) return Math.Max(0, TensorPrimitives.IndexOfMax(logits));
        fixed (LlamaTokenData* data = _candidates)
        {
            LlamaTokenDataArray candidates = Fill(logits, data, allowed);
            if (!Greedy) LlamaSamplerApi.LlamaSamplerApply(_cuts, ref candidates);
            var left = new ReadOnlySpan<LlamaTokenData>(candidates.Data, (int)candidates.Size);
            return Greedy ? Likeliest(left) : TokenDistribution.Of(left).Pick(_random.Next());
        }
    }

    private LlamaTokenDataArray Fill(ReadOnlySpan<float> logits, LlamaTokenData* data, bool allowed)
    {
        for (int i = 0; i < logits.Length; i++) data[i] = new LlamaTokenData { Id = i, Logit = logits[i] };
        foreach ((int token, float bias) in _options.LogitBias) data[token].Logit += bias;
        var candidates = new LlamaTokenDataArray { Data = data, Size = (nuint)logits.Length, Selected = -1 };
        if (_options.RepetitionPenalty != 1) LlamaSamplerApi.LlamaSamplerApply(_penalties, ref candidates);
        if (_options.PenalizesAnswer) LlamaSamplerApi.LlamaSamplerApply(_answerPenalties, ref candidates);
        if (allowed) _grammar!.Mask(ref candidates);
        return candidates;
    }

    private static int Likeliest(ReadOnlySpan<LlamaTokenData> candidates)
    {
        LlamaTokenData best = candidates[0];
        foreach (LlamaTokenData candidate in candidates)
        {
            if (candidate.Logit > best.Logit) best = candidate;
        }
        return best.Id;
    }

    private static LlamaSamplerHandle NewChain() => LlamaSamplerApi.LlamaSamplerChainInit(LlamaSamplerApi.LlamaSamplerChainDefaultParams());

    private static void Add(LlamaSamplerHandle chain, LlamaSampler* sampler) => LlamaSamplerApi.LlamaSamplerChainAdd(chain, sampler);
}
