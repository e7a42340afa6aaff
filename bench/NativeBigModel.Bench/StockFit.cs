using System.Runtime.InteropServices;
using NativeBigModel.Native;

namespace NativeBigModel.Bench;

/// <summary>llama.cpp's own choice of what lies on the GPUs (common_fit_params in its library of tools): what its --fit does by default.</summary>
internal static unsafe class StockFit
{
    private const string Library = "libllama-common.so";

    // A C++ function with arguments of C: its name as the compiler for Linux writes it.
    private const string Function = "_Z17common_fit_paramsPKcP18llama_model_paramsP20llama_context_paramsPfP32llama_model_tensor_buft_overridePmjPK22common_fit_extra_model14ggml_log_level";

    private const int MostDevices = 64, MostOverrides = 4096, LogErrors = 4;

    /// <summary>Memory that the parameters point to, to be kept until the model is loaded.</summary>
    public sealed class Choice : IDisposable
    {
        internal float* Split { get; } = (float*)NativeMemory.AllocZeroed(MostDevices, sizeof(float));

        internal LlamaModelTensorBuftOverride* Overrides { get; } = (LlamaModelTensorBuftOverride*)NativeMemory.AllocZeroed(MostOverrides, (nuint)sizeof(LlamaModelTensorBuftOverride));

        public void Dispose()
        {
            NativeMemory.Free(Split);
            NativeMemory.Free(Overrides);
        }
    }

    /// <summary>Sets layers, split and overrides of <paramref name="model"/> so that the first GPU holds at most <paramref name="bytes"/>.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">What is not as by default stays.</param>
    /// <param name="context">The context that must fit too.</param>
    /// <param name="bytes">Of the GPU.</param>
    /// <exception cref="InvalidOperationException">The library is not beside the engine, or finds nothing that fits.</exception>
    public static Choice Apply(string path, ref LlamaModelParams model, ref LlamaContextParams context, long bytes)
    {
        if (!NativeLibrary.TryLoad(Path.Combine(EngineLibrary.Folder!, Library), out nint library) || !NativeLibrary.TryGetExport(library, Function, out nint function))
            throw new InvalidOperationException($"{Library} with llama.cpp's fit is not beside the engine");
        GgmlBackendDevice* gpu = GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Gpu);
        nuint free = 0;
        if (gpu is not null) GgmlBackendApi.GgmlBackendDevMemory(gpu, out free, out _);
        nuint* margins = stackalloc nuint[MostDevices];
        new Span<nuint>(margins, MostDevices).Fill((nuint)Math.Max(0, (long)free - bytes));
        var choice = new Choice();
        byte[] name = System.Text.Encoding.UTF8.GetBytes(path + '\0');
        fixed (byte* text = name)
        fixed (LlamaModelParams* ofModel = &model)
        fixed (LlamaContextParams* ofContext = &context)
        {
            int status = ((delegate* unmanaged[Cdecl]<byte*, LlamaModelParams*, LlamaContextParams*, float*, LlamaModelTensorBuftOverride*, nuint*, uint, void*, int, int>)function)(
                text, ofModel, ofContext, choice.Split, choice.Overrides, margins, context.NCtx, null, LogErrors);
            if (status == 0) return choice;
            choice.Dispose();
            throw new InvalidOperationException($"llama.cpp's fit finds nothing for {bytes} bytes of the GPU (status {status})");
        }
    }
}
