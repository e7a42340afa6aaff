using System.Security.Cryptography;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>Chooses tokens with llama.cpp's samplers.</summary>
internal sealed unsafe class TokenSampler : IDisposable
{
    private readonly LlamaSamplerHandle _chain;

    public TokenSampler(GenerateOptions options, int vocabulary, int contextLength)
    {
        _chain = LlamaSamplerApi.LlamaSamplerChainInit(LlamaSamplerApi.LlamaSamplerChainDefaultParams());
        if (options.RepetitionPenalty != 1) Add(LlamaSamplerApi.LlamaSamplerInitPenalties(vocabulary, contextLength, options.RepetitionPenalty, 0, 0));
        if (options.Temperature == 0)
        {
            Add(LlamaSamplerApi.LlamaSamplerInitGreedy());
            return;
        }
        Add(LlamaSamplerApi.LlamaSamplerInitTemp(options.Temperature));
        if (options.TopK > 0) Add(LlamaSamplerApi.LlamaSamplerInitTopK(options.TopK));
        if (options.TopP < 1) Add(LlamaSamplerApi.LlamaSamplerInitTopP(options.TopP, 1));
        if (options.MinP > 0) Add(LlamaSamplerApi.LlamaSamplerInitMinP(options.MinP, 1));
        // llama.cpp takes its default seed, 2^32 - 1, as a wish for a random one.
        uint seed = options.Seed ?? (uint)RandomNumberGenerator.GetInt32(int.MaxValue);
        Add(LlamaSamplerApi.LlamaSamplerInitDist(seed == uint.MaxValue ? 0 : seed));
    }

    /// <summary>Notes tokens that the context already holds.</summary>
    public void Accept(ReadOnlySpan<int> tokens)
    {
        foreach (int token in tokens) LlamaSamplerApi.LlamaSamplerAccept(_chain, token);
    }

    /// <summary>Chooses from the last logits, and notes the choice.</summary>
    public int Next(EngineContext context) => LlamaSamplerApi.LlamaSamplerSample(_chain, context.Handle, -1);

    public void Dispose() => _chain.Dispose();

    private void Add(LlamaSampler* sampler) => LlamaSamplerApi.LlamaSamplerChainAdd(_chain, sampler);
}
