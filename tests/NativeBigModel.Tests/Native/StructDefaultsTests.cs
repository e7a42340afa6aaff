using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

/// <summary>Every field of every parameter struct, read from what the engine itself returns. A field that moved shows as a wrong default.</summary>
public sealed unsafe class StructDefaultsTests
{
    private const int TypeCount = 43;

    public StructDefaultsTests() => EngineLibrary.Load();

    [Fact]
    public void Model_params_have_the_defaults_of_llama_cpp()
    {
        LlamaModelParams p = LlamaModelApi.LlamaModelDefaultParams();
        Assert.True(p.Devices is null && p.TensorBuftOverrides is null && p.TensorSplit is null && p.KvOverrides is null);
        Assert.True(p.ProgressCallback is null && p.ProgressCallbackUserData is null);
        Assert.Equal(-1, p.NGpuLayers);
        Assert.Equal(LlamaSplitMode.Layer, p.SplitMode);
        Assert.Equal(LlamaLoadMode.Auto, p.LoadMode);
        Assert.Equal(LlamaLazyMode.Auto, p.LazyMode);
        Assert.Equal(0, p.MainGpu);
        Assert.Equal([0, 0, 1, 0, 0, 0], new[] { p.VocabOnly, p.CheckTensors, p.UseExtraBufts, p.NoHost, p.NoAlloc, p.LoadMtp });
    }

    [Fact]
    public void Context_params_have_the_defaults_of_llama_cpp()
    {
        LlamaContextParams p = LlamaContextApi.LlamaContextDefaultParams();
        Assert.Equal([512u, 2048u, 512u, 1u, 0u, 0u, 1u], new[] { p.NCtx, p.NBatch, p.NUbatch, p.NSeqMax, p.NRsSeq, p.NOutputsMax, p.NOutputsMaxPerSeq });
        Assert.Equal([4, 4], new[] { p.NThreads, p.NThreadsBatch });
        Assert.Equal(LlamaContextType.Default, p.CtxType);
        Assert.Equal(LlamaRopeScalingType.Unspecified, p.RopeScalingType);
        Assert.Equal(LlamaPoolingType.Unspecified, p.PoolingType);
        Assert.Equal(LlamaAttentionType.Unspecified, p.AttentionType);
        Assert.Equal(LlamaFlashAttnType.Auto, p.FlashAttnType);
        Assert.Equal([0f, 0f, -1f, -1f, -1f, -1f], new[] { p.RopeFreqBase, p.RopeFreqScale, p.YarnExtFactor, p.YarnAttnFactor, p.YarnBetaFast, p.YarnBetaSlow });
        Assert.Equal(0u, p.YarnOrigCtx);
        Assert.Equal(-1f, p.DefragThold);
        Assert.True(p.CbEval is null && p.CbEvalUserData is null && p.AbortCallback is null && p.AbortCallbackData is null);
        Assert.Equal([TensorType.F16, TensorType.F16], new[] { p.TypeK, p.TypeV });
        Assert.Equal([0, 1, 1, 1, 1, 0], new[] { p.Embeddings, p.OffloadKqv, p.NoPerf, p.OpOffload, p.SwaFull, p.KvUnified });
        Assert.True(p.Samplers is null && p.NSamplers == 0 && p.CtxOther is null);
    }

    [Fact]
    public void Quantize_params_have_the_defaults_of_llama_cpp()
    {
        LlamaModelQuantizeParams p = LlamaModelApi.LlamaModelQuantizeDefaultParams();
        Assert.Equal([0, 7], new[] { p.NThread, p.Ftype });
        Assert.Equal([(TensorType)TypeCount, (TensorType)TypeCount], new[] { p.OutputTensorType, p.TokenEmbeddingType });
        Assert.Equal([0, 1, 0, 0, 0, 0], new[] { p.AllowRequantize, p.QuantizeOutputTensor, p.OnlyCopy, p.Pure, p.KeepSplit, p.DryRun });
        Assert.True(p.Imatrix is null && p.KvOverrides is null && p.TtOverrides is null && p.PruneLayers is null);
        Assert.Equal((nuint)8 << 30, p.MaxBufSize);
    }

    [Fact]
    public void Chain_params_have_the_defaults_of_llama_cpp() => Assert.Equal(1, LlamaSamplerApi.LlamaSamplerChainDefaultParams().NoPerf);

    [Fact]
    public void A_tensor_has_the_size_the_engine_says()
    {
        const int objectBytes = 32;
        Assert.Equal((int)GgmlApi.GgmlTensorOverhead() - objectBytes, sizeof(GgmlTensor));
    }

    [Fact]
    public void Device_properties_agree_with_the_single_getters()
    {
        GgmlBackendDevice* cpu = GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu);
        GgmlBackendApi.GgmlBackendDevGetProps(cpu, out GgmlBackendDevProps props);
        GgmlBackendApi.GgmlBackendDevMemory(cpu, out _, out nuint total);
        Assert.Equal("CPU", Utf8.Text(props.Name));
        Assert.Equal(Utf8.Text(GgmlBackendApi.GgmlBackendDevDescription(cpu)), Utf8.Text(props.Description));
        Assert.Equal(total, props.MemoryTotal);
        Assert.Equal(GgmlBackendDevType.Cpu, props.Type);
        Assert.Equal([0, 0, 1, 0, 1], new[] { props.CapsAsync, props.CapsHostBuffer, props.CapsBufferFromHostPtr, props.CapsEvents, props.CapsMmapSupport });
        Assert.Equal("CPU", Utf8.Text(GgmlBackendApi.GgmlBackendBuftName(GgmlBackendApi.GgmlBackendDevBufferType(cpu))));
    }
}
