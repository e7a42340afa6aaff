using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>llama_sampler_chain_params. A byte is a C bool.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct LlamaSamplerChainParams
{
    public byte NoPerf;
}

/// <summary>llama.h: sampling.</summary>
internal static unsafe partial class LlamaSamplerApi
{
    private const string Llama = EngineLibrary.Llama;

    [LibraryImport(Llama, EntryPoint = "llama_sampler_chain_default_params")]
    internal static partial LlamaSamplerChainParams LlamaSamplerChainDefaultParams();

    [LibraryImport(Llama, EntryPoint = "llama_sampler_chain_init")]
    internal static partial LlamaSamplerHandle LlamaSamplerChainInit(LlamaSamplerChainParams parameters);

    /// <summary>The chain owns <paramref name="sampler"/> from here on.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_sampler_chain_add")]
    internal static partial void LlamaSamplerChainAdd(LlamaSamplerHandle chain, LlamaSampler* sampler);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_chain_n")]
    internal static partial int LlamaSamplerChainN(LlamaSamplerHandle chain);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_greedy")]
    internal static partial LlamaSampler* LlamaSamplerInitGreedy();

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_dist")]
    internal static partial LlamaSampler* LlamaSamplerInitDist(uint seed);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_top_k")]
    internal static partial LlamaSampler* LlamaSamplerInitTopK(int k);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_top_p")]
    internal static partial LlamaSampler* LlamaSamplerInitTopP(float p, nuint minKeep);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_min_p")]
    internal static partial LlamaSampler* LlamaSamplerInitMinP(float p, nuint minKeep);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_temp")]
    internal static partial LlamaSampler* LlamaSamplerInitTemp(float t);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_penalties")]
    internal static partial LlamaSampler* LlamaSamplerInitPenalties(
        int nVocab, int penaltyLastN, float penaltyRepeat, float penaltyFreq, float penaltyPresent);

    /// <summary>Null where the text is no grammar, which llama.cpp explains on the standard error output. Accepting a token that the grammar rejects aborts the process.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_sampler_init_grammar", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial LlamaSamplerHandle LlamaSamplerInitGrammar(LlamaVocab* vocab, string grammarStr, string grammarRoot);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_accept")]
    internal static partial void LlamaSamplerAccept(LlamaSamplerHandle sampler, int token);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_apply")]
    internal static partial void LlamaSamplerApply(LlamaSamplerHandle sampler, ref LlamaTokenDataArray candidates);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_reset")]
    internal static partial void LlamaSamplerReset(LlamaSamplerHandle sampler);

    /// <summary>Chooses from the logits of batch token <paramref name="idx"/> (-1: the last), and accepts the choice.</summary>
    [LibraryImport(Llama, EntryPoint = "llama_sampler_sample")]
    internal static partial int LlamaSamplerSample(LlamaSamplerHandle sampler, LlamaContextHandle context, int idx);

    [LibraryImport(Llama, EntryPoint = "llama_sampler_free")]
    internal static partial void LlamaSamplerFree(nint sampler);
}
