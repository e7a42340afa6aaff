using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>A GBNF grammar that a generation follows, and how far it has come.</summary>
internal sealed unsafe class TokenGrammar : IDisposable
{
    private const string Root = "root";

    // llama.cpp's parser goes one call deeper for each parenthesis and each rule that begins with another.
    private const int MaxLength = 1 << 20;
    private const int MaxDepth = 200;
    private const int MaxRules = 4096;

    private readonly LlamaSamplerHandle _sampler;

    /// <exception cref="InvalidOptionException">The text is no grammar.</exception>
    /// <exception cref="UnsupportedModelException">The model has no tokenizer.</exception>
    public TokenGrammar(string text, Tokenizer tokenizer)
    {
        if (!tokenizer.HasText) throw new UnsupportedModelException("a grammar needs the text of tokens, and the checkpoint has no tokenizer files");
        Require(text);
        _sampler = LlamaSamplerApi.LlamaSamplerInitGrammar(tokenizer.ByteVocabulary, text, Root);
        if (!_sampler.IsInvalid) return;
        _sampler.Dispose();
        throw new InvalidOptionException($"{nameof(GenerateOptions.Grammar)}: llama.cpp reads no grammar in it; it needs GBNF with a rule named '{Root}', without left recursion");
    }

    /// <summary>Whether a token may come next.</summary>
    public bool Allows(int token)
    {
        var one = new LlamaTokenData { Id = token };
        var candidates = new LlamaTokenDataArray { Data = &one, Size = 1, Selected = -1 };
        LlamaSamplerApi.LlamaSamplerApply(_sampler, ref candidates);
        return !float.IsNegativeInfinity(one.Logit);
    }

    /// <summary>Goes past tokens that stand before what is generated, if the grammar begins with them.</summary>
    /// <exception cref="EngineException">It begins with some of them only.</exception>
    public void Begin(IReadOnlyList<int> tokens)
    {
        for (int i = 0; i < tokens.Count; i++)
        {
            if (Allows(tokens[i])) Accept(tokens[i]);
            else if (i > 0) throw new EngineException($"the grammar goes along with {i} of the {tokens.Count} tokens that the prompt ends with");
            else return;
        }
    }

    /// <summary>Makes every token that may not come next impossible.</summary>
    /// <exception cref="EngineException">None may.</exception>
    public void Mask(ref LlamaTokenDataArray candidates)
    {
        LlamaSamplerApi.LlamaSamplerApply(_sampler, ref candidates);
        foreach (LlamaTokenData candidate in new ReadOnlySpan<LlamaTokenData>(candidates.Data, (int)candidates.Size))
        {
            if (!float.IsNegativeInfinity(candidate.Logit)) return;
        }
        throw new EngineException("no token of the vocabulary can go on in the grammar");
    }

    /// <summary>Notes a token that may come next; any other would abort the process.</summary>
    public void Accept(int token) => LlamaSamplerApi.LlamaSamplerAccept(_sampler, token);

    public void Dispose() => _sampler.Dispose();

    private static void Require(string text)
    {
        if (string.IsNullOrWhiteSpace(text)) throw new InvalidOptionException($"{nameof(GenerateOptions.Grammar)}: it is empty; leave it out for none");
        if (text.Length > MaxLength) throw Refuse($"{text.Length} characters", MaxLength);
        if (text.Contains('\0', StringComparison.Ordinal)) throw new InvalidOptionException($"{nameof(GenerateOptions.Grammar)}: it has a zero character at {text.IndexOf('\0', StringComparison.Ordinal)}");
        int rules = text.AsSpan().Count("::="), depth = 0, deepest = 0;
        if (rules > MaxRules) throw Refuse($"{rules} rules", MaxRules);
        foreach (char c in text)
        {
            if (c == '(') deepest = Math.Max(deepest, ++depth);
            else if (c == ')') depth = Math.Max(0, depth - 1);
        }
        if (deepest > MaxDepth) throw Refuse($"parentheses {deepest} deep", MaxDepth);
    }

    private static InvalidOptionException Refuse(string what, int most) => new($"{nameof(GenerateOptions.Grammar)}: {what}; there may be {most}");
}
