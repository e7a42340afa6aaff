using NativeBigModel.Native;
using static NativeBigModel.Native.LlamaSamplerApi;

namespace NativeBigModel.Tests.Native;

public sealed unsafe class SamplerTests
{
    public SamplerTests() => EngineLibrary.Load();

    [Fact]
    public void A_chain_cuts_warms_and_chooses()
    {
        using LlamaSamplerHandle chain = LlamaSamplerChainInit(LlamaSamplerChainDefaultParams());
        LlamaSampler*[] samplers =
        [
            LlamaSamplerInitTopK(3), LlamaSamplerInitTopP(0.99f, 1), LlamaSamplerInitMinP(0.01f, 1), LlamaSamplerInitTemp(0.5f), LlamaSamplerInitDist(7),
        ];
        foreach (LlamaSampler* sampler in samplers) LlamaSamplerChainAdd(chain, sampler);
        Assert.Equal(samplers.Length, LlamaSamplerChainN(chain));

        LlamaTokenData[] candidates = [.. Enumerable.Range(0, 8).Select(static i => new LlamaTokenData { Id = 10 + i, Logit = i })];
        fixed (LlamaTokenData* data = candidates)
        {
            LlamaTokenDataArray array = new() { Data = data, Size = (nuint)candidates.Length, Selected = -1 };
            LlamaSamplerApply(chain, ref array);
            Assert.InRange(array.Size, (nuint)1, (nuint)3);
            Assert.InRange(array.Selected, 0, (long)array.Size - 1);
            Assert.InRange(array.Data[array.Selected].Id, 15, 17);
        }
        LlamaSamplerReset(chain);
    }

    [Fact]
    public void A_repeated_token_is_penalized_until_the_reset()
    {
        using LlamaSamplerHandle chain = LlamaSamplerChainInit(LlamaSamplerChainDefaultParams());
        LlamaSamplerChainAdd(chain, LlamaSamplerInitPenalties(4, 4, 100f, 0f, 0f));
        LlamaSamplerChainAdd(chain, LlamaSamplerInitGreedy());
        Assert.Equal(3, Choose(chain));
        LlamaSamplerAccept(chain, 3);
        Assert.Equal(2, Choose(chain));
        LlamaSamplerReset(chain);
        Assert.Equal(3, Choose(chain));
    }

    [Fact]
    public void Greedy_chooses_the_largest_logit_of_a_context()
    {
        using LlamaModelHandle model = TinyModel.Load();
        using LlamaContextHandle context = LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams());
        using LlamaSamplerHandle chain = LlamaSamplerChainInit(LlamaSamplerChainDefaultParams());
        LlamaSamplerChainAdd(chain, LlamaSamplerInitGreedy());
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(context, [1, 5, 6]));
        float[] logits = Decoding.Logits(context);
        Assert.Equal(logits.IndexOf(logits.Max()), LlamaSamplerSample(chain, context, -1));
    }

    private static int Choose(LlamaSamplerHandle chain)
    {
        LlamaTokenData* data = stackalloc LlamaTokenData[4];
        for (int i = 0; i < 4; i++) data[i] = new LlamaTokenData { Id = i, Logit = 1 + i };
        LlamaTokenDataArray array = new() { Data = data, Size = 4, Selected = -1 };
        LlamaSamplerApply(chain, ref array);
        return array.Data[array.Selected].Id;
    }
}
