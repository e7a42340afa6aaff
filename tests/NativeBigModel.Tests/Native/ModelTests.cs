using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

/// <summary>Distinctive values go in through the structs, and come out of the engine's getters.</summary>
public sealed unsafe class ModelTests
{
    [Fact]
    public void A_model_made_in_memory_answers_for_its_metadata()
    {
        using LlamaModelHandle model = TinyModel.Load();
        Assert.Equal([TinyModel.Context, TinyModel.Width, 1, 2, 2],
            new[]
            {
                LlamaModelApi.LlamaModelNCtxTrain(model), LlamaModelApi.LlamaModelNEmbd(model), LlamaModelApi.LlamaModelNLayer(model),
                LlamaModelApi.LlamaModelNHead(model), LlamaModelApi.LlamaModelNHeadKv(model),
            });
        Assert.Equal([0ul, 0ul], new[] { LlamaModelApi.LlamaModelNParams(model), LlamaModelApi.LlamaModelSize(model) });
        Assert.True(LlamaModelApi.LlamaModelHasDecoder(model));
        Assert.False(LlamaModelApi.LlamaModelHasEncoder(model) || LlamaModelApi.LlamaModelIsRecurrent(model) || LlamaModelApi.LlamaModelIsHybrid(model));
        Assert.Equal(-1, LlamaModelApi.LlamaModelDecoderStartToken(model));
        Assert.True(LlamaModelApi.LlamaModelChatTemplate(model, null) is null);
        byte* text = stackalloc byte[64];
        Assert.Equal(4, LlamaModelApi.LlamaModelMetaValStr(model, "general.name", text, 64));
        Assert.Equal("tiny", Utf8.Text(text));
        Assert.True(LlamaModelApi.LlamaModelDesc(model, text, 64) > 0);
    }

    [Fact]
    public void Model_params_reach_the_engine()
    {
        EngineLibrary.Load();
        GgmlBackendDevice* cpu = GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu);
        LlamaModelKvOverride* overrides = stackalloc LlamaModelKvOverride[2];
        overrides[0] = new LlamaModelKvOverride { Tag = LlamaModelKvOverrideType.Int, ValI64 = 48 };
        overrides[1] = default;
        Encoding.UTF8.GetBytes("llama.context_length", new Span<byte>(overrides[0].Key, 128));
        int calls = 0;
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        fixed (byte* pattern = "ffn_.*"u8)
        {
            LlamaModelTensorBuftOverride* places = stackalloc LlamaModelTensorBuftOverride[2];
            places[0] = new LlamaModelTensorBuftOverride { Pattern = pattern, Buft = GgmlBackendApi.GgmlBackendDevBufferType(cpu) };
            places[1] = default;
            GgmlBackendDevice** devices = stackalloc GgmlBackendDevice*[1];
            devices[0] = null;
            parameters.Devices = devices;
            parameters.TensorBuftOverrides = places;
            parameters.KvOverrides = overrides;
            parameters.ProgressCallback = &CountCalls;
            parameters.ProgressCallbackUserData = &calls;
            using LlamaModelHandle model = TinyModel.Load(parameters);
            Assert.False(model.IsInvalid);
            Assert.Equal(48, LlamaModelApi.LlamaModelNCtxTrain(model));
        }
    }

    [Fact]
    public void Context_params_reach_the_engine()
    {
        using LlamaModelHandle model = TinyModel.Load();
        LlamaContextParams parameters = LlamaContextApi.LlamaContextDefaultParams();
        (parameters.NCtx, parameters.NBatch, parameters.NUbatch, parameters.NSeqMax) = (512, 96, 48, 2);
        (parameters.TypeK, parameters.TypeV, parameters.KvUnified) = (TensorType.F32, TensorType.F32, 1);
        using LlamaContextHandle context = LlamaContextHandle.Create(model, parameters);
        Assert.Equal([512u, 96u, 48u, 2u],
            new[]
            {
                LlamaContextApi.LlamaNCtx(context), LlamaContextApi.LlamaNBatch(context),
                LlamaContextApi.LlamaNUbatch(context), LlamaContextApi.LlamaNSeqMax(context),
            });
    }

    [Fact]
    public void Decoding_gives_repeatable_logits_and_fills_the_memory()
    {
        using LlamaModelHandle model = TinyModel.Load();
        using LlamaContextHandle context = LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams());
        LlamaContextApi.LlamaSetNThreads(context, 1, 1);
        LlamaMemory* memory = LlamaContextApi.LlamaGetMemory(context);
        Assert.Equal(-1, LlamaContextApi.LlamaMemorySeqPosMax(memory, 0));
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(context, [1, 5, 6, 7]));
        float[] first = Decoding.Logits(context);
        Assert.All(first, static logit => Assert.True(float.IsFinite(logit)));
        Assert.True(first.Distinct().Count() > TinyModel.Vocabulary / 2);
        Assert.Equal(3, LlamaContextApi.LlamaMemorySeqPosMax(memory, 0));

        Assert.True(LlamaContextApi.LlamaMemorySeqRm(memory, 0, 3, -1));
        Assert.Equal(2, LlamaContextApi.LlamaMemorySeqPosMax(memory, 0));
        LlamaContextApi.LlamaMemoryClear(memory, data: true);
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(context, [1, 5, 6, 7]));
        LlamaContextApi.LlamaSynchronize(context);
        Assert.Equal(first, Decoding.Logits(context));
        Assert.Equal(LlamaDecodeStatus.InvalidBatch, Decoding.Run(context, [TinyModel.Vocabulary]));
    }

    [Fact]
    public void Decoding_obeys_the_abort_callback()
    {
        using LlamaModelHandle model = TinyModel.Load();
        using LlamaContextHandle context = LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams());
        byte abort = 1;
        LlamaContextApi.LlamaSetAbortCallback(context, &ReadFlag, &abort);
        Assert.Equal(LlamaDecodeStatus.Aborted, Decoding.Run(context, [1, 5, 6]));
        abort = 0;
        LlamaContextApi.LlamaMemoryClear(LlamaContextApi.LlamaGetMemory(context), data: true);
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(context, [1, 5, 6]));
    }

    [Fact]
    public void A_file_with_a_name_beyond_ASCII_quantizes_and_loads()
    {
        EngineLibrary.Load();
        DirectoryInfo folder = Directory.CreateTempSubdirectory("nbm-модель-");
        try
        {
            string input = Path.Combine(folder.FullName, "模型.gguf"), output = Path.Combine(folder.FullName, "é.gguf");
            File.WriteAllBytes(input, TinyModel.File());
            LlamaModelQuantizeParams parameters = LlamaModelApi.LlamaModelQuantizeDefaultParams();
            (parameters.NThread, parameters.QuantizeOutputTensor) = (1, 0);
            Assert.Equal(0u, LlamaModelApi.LlamaModelQuantize(input, output, parameters));
            using LlamaModelHandle whole = LlamaModelApi.LlamaModelLoadFromFile(input, LlamaModelApi.LlamaModelDefaultParams());
            using LlamaModelHandle small = LlamaModelApi.LlamaModelLoadFromFile(output, LlamaModelApi.LlamaModelDefaultParams());
            Assert.False(whole.IsInvalid || small.IsInvalid);
            ulong elements = (ulong)TinyModel.Tensors.Sum(static t => t.Dimensions.Aggregate(1L, static (a, b) => a * b));
            Assert.Equal(elements, LlamaModelApi.LlamaModelNParams(whole));
            Assert.Equal(elements * sizeof(float), LlamaModelApi.LlamaModelSize(whole));
            Assert.InRange(LlamaModelApi.LlamaModelSize(small), 1ul, elements * sizeof(float) - 1);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte CountCalls(float progress, void* calls)
    {
        ++*(int*)calls;
        return 1;
    }

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static byte ReadFlag(void* flag) => *(byte*)flag;
}
