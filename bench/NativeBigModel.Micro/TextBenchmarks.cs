using BenchmarkDotNet.Attributes;

namespace NativeBigModel.Micro;

/// <summary>Tokenising ten kilobytes with the bundled model's byte-level BPE.</summary>
public class TextBenchmarks
{
    private readonly string _text = string.Concat(Enumerable.Repeat("The capital of France is Paris, and 1,234 people live there; it isn't far. ", 135));
    private Tokenizer _tokenizer = null!;

    [GlobalSetup]
    public void Setup() => _tokenizer = Tokenizer.Open(Checkpoint.Open(Path.Combine(AppContext.BaseDirectory, "samples", "capitals-llama")));

    [GlobalCleanup]
    public void Cleanup() => _tokenizer.Dispose();

    [Benchmark]
    public int[] Encode() => _tokenizer.Encode(_text, addSpecial: false);
}
