using BenchmarkDotNet.Attributes;
using NativeBigModel.Bench.Models;
using NativeBigModel.Planning;

namespace NativeBigModel.Micro;

/// <summary>
/// A token of a model of 80 layers of half a megabyte, on the CPU: held in memory, and streamed from a file through the ring. What the second takes longer, over 80, is what the
/// ring costs a group: reading half a megabyte, and handing it on.
/// </summary>
public class RingBenchmarks
{
    private const int Tokens = 16;

    private static readonly int[] s_prompt = [1];

    private Files _files = null!;
    private BigModel _model = null!;

    [Params(false, true)]
    public bool Streamed { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _files = new();
        SyntheticModel model = Files.Deep with { Type = WeightType.Q8_0 };
        var options = new PlanOptions { ContextLength = 256, Threads = 1, MaxMemory = MemoryLimits.Parse("cpu=1GiB") };
        _model = BigModel.LoadAsync(_files.Gguf(model), Streamed ? options with { Offload = OffloadMode.Disk, MaxMemory = null } : options).GetAwaiter().GetResult();
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _model.DisposeAsync().AsTask().GetAwaiter().GetResult();
        _files.Dispose();
    }

    [Benchmark(OperationsPerInvoke = Tokens)]
    public async Task<int> Token()
    {
        int count = 0;
        await foreach (GenerationStep step in _model.GenerateAsync(s_prompt, new GenerateOptions { Temperature = 0, MaxNewTokens = Tokens, IgnoreEndOfGeneration = true, ReusePrefix = false }, CancellationToken.None)) count++;
        return count;
    }
}
