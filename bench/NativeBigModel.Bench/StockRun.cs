using System.Diagnostics;
using System.Text.Json;
using NativeBigModel.Cli.Commands;
using NativeBigModel.Native;

namespace NativeBigModel.Bench;

/// <summary>
/// Stock llama.cpp on a GGUF file, loaded and computed as its own tools do it: memory-mapped, batches of 2048 in pieces of 512, the first layers on the CPU and
/// the last --ngl on the GPU. What it prints is what `nbm bench --json` prints.
/// </summary>
internal static class StockRun
{
    private const string ExpertsPattern = @"\.ffn_(up|down|gate)_exps";

    public static async Task<int> RunAsync(string path, string[] rest)
    {
        var options = new Arguments(rest);
        int ngl = options.Number("--ngl", 0), context = options.Number("--context", 1024), tokens = options.Number("--tokens", 9), rounds = options.Number("--rounds", 1);
        int threads = options.Number("--threads", Environment.ProcessorCount), piece = options.Number("--ubatch", 512);
        int[] prompts = [.. options.Text("--prompt", "512").Split(',').Select(int.Parse)];
        long started = Stopwatch.GetTimestamp();
        EngineLibrary.Load();
        LlamaContextParams parameters = LlamaContextApi.LlamaContextDefaultParams();
        parameters.NCtx = (uint)context;
        parameters.NBatch = (uint)Math.Max(2048, piece);
        parameters.NUbatch = (uint)piece;
        parameters.NThreads = parameters.NThreadsBatch = threads;
        using LlamaModelHandle model = options.Has("--fit") ? LoadFitting(path, ref parameters, long.Parse(options.Text("--fit", ""))) : LoadModel(path, ngl, options.Has("--experts-on-cpu"));
        using LlamaContextHandle handle = LlamaContextHandle.Create(model, parameters);
        if (handle.IsInvalid) throw new InvalidOperationException("llama.cpp could not make the context");
        double load = Stopwatch.GetElapsedTime(started).TotalSeconds;
        List<object> measured = await BenchCommand.MeasuredAsync(() => Task.FromResult<List<object>>([.. prompts.Select(length => Measure(handle, Vocabulary(model), length, tokens))]), rounds);
        Console.WriteLine(JsonSerializer.Serialize(new { load_s = load, rounds = measured }));
        return 0;
    }

    private static LlamaModelHandle LoadFitting(string path, ref LlamaContextParams context, long bytes)
    {
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        parameters.LoadMode = LlamaLoadMode.Mmap;
        using StockFit.Choice choice = StockFit.Apply(path, ref parameters, ref context, bytes);
        LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile(path, parameters);
        return !model.IsInvalid ? model : throw new InvalidOperationException("llama.cpp could not load the file");
    }

    private static unsafe LlamaModelHandle LoadModel(string path, int ngl, bool expertsOnCpu)
    {
        LlamaModelParams parameters = LlamaModelApi.LlamaModelDefaultParams();
        parameters.LoadMode = LlamaLoadMode.Mmap;
        parameters.NGpuLayers = ngl;
        byte[] pattern = System.Text.Encoding.UTF8.GetBytes(ExpertsPattern + '\0');
        LlamaModelTensorBuftOverride* overrides = stackalloc LlamaModelTensorBuftOverride[2];
        fixed (byte* name = pattern)
        {
            overrides[0] = new() { Pattern = name, Buft = GgmlBackendApi.GgmlBackendDevBufferType(GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu)) };
            overrides[1] = default;
            if (expertsOnCpu) parameters.TensorBuftOverrides = overrides;
            LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile(path, parameters);
            return !model.IsInvalid ? model : throw new InvalidOperationException("llama.cpp could not load the file");
        }
    }

    private static object Measure(LlamaContextHandle context, int vocabulary, int length, int tokens)
    {
        Clear(context);
        int[] prompt = [.. Enumerable.Range(0, length).Select(i => (int)(i * 7919L % vocabulary))];
        long started = Stopwatch.GetTimestamp();
        Decode(context, prompt);
        double prefill = Stopwatch.GetElapsedTime(started).TotalSeconds;
        started = Stopwatch.GetTimestamp();
        double first = 0;
        for (int i = 1; i < tokens; i++)
        {
            Decode(context, [i]);
            if (i == 1) first = Stopwatch.GetElapsedTime(started).TotalSeconds;
        }
        return new { prompt = length, prefill_s = prefill, decode_s_per_token = Stopwatch.GetElapsedTime(started).TotalSeconds / (tokens - 1), first_s = first, streamed_bytes_per_token = 0 };
    }

    private static unsafe int Vocabulary(LlamaModelHandle model) => LlamaVocabApi.LlamaVocabNTokens(LlamaModelApi.LlamaModelGetVocab(model));

    private static unsafe void Clear(LlamaContextHandle context) => LlamaContextApi.LlamaMemoryClear(LlamaContextApi.LlamaGetMemory(context), data: false);

    private static unsafe void Decode(LlamaContextHandle context, int[] tokens)
    {
        fixed (int* ids = tokens)
        {
            LlamaDecodeStatus status = LlamaContextApi.LlamaDecode(context, new LlamaBatch { NTokens = tokens.Length, Token = ids });
            if (status != LlamaDecodeStatus.Success) throw new InvalidOperationException($"llama_decode: {status}");
        }
        LlamaContextApi.LlamaSynchronize(context);
    }
}
