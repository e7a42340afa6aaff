using System.Diagnostics;
using NativeBigModel.Native;

namespace NativeBigModel.Bench;

/// <summary>Stock llama.cpp on a GGUF file, memory-mapped and computed by the CPU as its own tools do it: the rival of streaming from disk.</summary>
internal static class StockRun
{
    public static unsafe int Run(string path, int tokens)
    {
        EngineLibrary.Load();
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        parameters.LoadMode = LlamaLoadMode.Mmap;
        parameters.NGpuLayers = 0;
        using LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile(path, parameters);
        LlamaContextParams options = LlamaContextApi.LlamaContextDefaultParams();
        options.NCtx = 256;
        options.NThreads = options.NThreadsBatch = Environment.ProcessorCount;
        using LlamaContextHandle context = LlamaContextHandle.Create(model, options);
        if (model.IsInvalid || context.IsInvalid) throw new InvalidOperationException("llama.cpp could not load the file");
        int token = 1;
        for (int i = 0; i <= tokens; i++)
        {
            long started = Stopwatch.GetTimestamp();
            var batch = new LlamaBatch { NTokens = 1, Token = &token };
            if (LlamaContextApi.LlamaDecode(context, batch) != LlamaDecodeStatus.Success) throw new InvalidOperationException("llama_decode failed");
            LlamaContextApi.LlamaSynchronize(context);
            Console.WriteLine($"token {i}: {Stopwatch.GetElapsedTime(started).TotalSeconds:0.000} s");
        }
        return 0;
    }
}
