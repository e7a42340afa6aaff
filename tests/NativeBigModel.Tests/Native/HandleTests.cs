using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

public sealed class HandleTests
{
    [Fact]
    public void A_context_keeps_its_model_alive()
    {
        LlamaModelHandle model = TinyModel.Load();
        LlamaContextHandle context = LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams());
        model.Dispose();
        Assert.False(context.IsInvalid || model.IsClosed);
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(context, [1, 5, 6]));
        context.Dispose();
        Assert.True(model.IsClosed);
    }

    [Fact]
    public void A_context_disposed_of_first_leaves_the_model_usable()
    {
        using LlamaModelHandle model = TinyModel.Load();
        LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams()).Dispose();
        using LlamaContextHandle second = LlamaContextHandle.Create(model, LlamaContextApi.LlamaContextDefaultParams());
        Assert.Equal(LlamaDecodeStatus.Success, Decoding.Run(second, [1, 5, 6]));
    }

    [Fact]
    public void A_context_that_fails_is_invalid_and_lets_go_of_the_model()
    {
        using LlamaModelHandle model = TinyModel.Load();
        LlamaContextParams parameters = LlamaContextApi.LlamaContextDefaultParams();
        parameters.NBatch = 0;
        parameters.NUbatch = 0;
        long since = NativeLog.Count;
        using (LlamaContextHandle context = LlamaContextHandle.Create(model, parameters)) Assert.True(context.IsInvalid);
        Assert.NotEmpty(NativeLog.LastErrors(since));
        model.Dispose();
        Assert.True(model.IsClosed);
    }

    [Fact]
    public void Metadata_that_is_no_gguf_gives_an_invalid_handle()
    {
        EngineLibrary.Load();
        using GgufHandle gguf = Read("GGUX, and no more"u8);
        Assert.True(gguf.IsInvalid);
    }

    [Fact]
    public unsafe void Metadata_reads_back()
    {
        EngineLibrary.Load();
        using GgufHandle gguf = TinyModel.Metadata();
        Assert.Equal(12, GgufApi.GgufGetNKv(gguf));
        Assert.Equal("tiny", Utf8.Text(GgufApi.GgufGetValStr(gguf, GgufApi.GgufFindKey(gguf, "general.name"))));
        Assert.Equal(-1, GgufApi.GgufFindKey(gguf, "absent"));
        Assert.Equal(TinyModel.Tensors.Length, GgufApi.GgufGetNTensors(gguf));
        Assert.Equal("token_embd.weight", Utf8.Text(GgufApi.GgufGetTensorName(gguf, 0)));
        Assert.Equal(TensorType.F32, GgufApi.GgufGetTensorType(gguf, 0));
        Assert.Equal((nuint)4096, GgufApi.GgufGetTensorSize(gguf, 0));
    }

    private static unsafe GgufHandle Read(ReadOnlySpan<byte> bytes)
    {
        fixed (byte* data = bytes) return GgufApi.GgufInitFromBuffer(data, (nuint)bytes.Length, new GgufInitParams { NoAlloc = 1 });
    }
}
