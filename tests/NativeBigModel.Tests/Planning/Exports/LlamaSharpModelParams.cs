using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeBigModel.Tests.Planning.Exports;

/// <summary>
/// What LLamaSharp 0.28.0 reads: the members of its ModelParams with their defaults, read with default options, so that a name in another case is passed over.
/// </summary>
internal sealed class LlamaSharpModelParams(string modelPath)
{
    public string ModelPath { get; set; } = modelPath;
    public uint? ContextSize { get; set; }
    public int MainGpu { get; set; }
    public int? SplitMode { get; set; }
    public List<Override> TensorBufferOverrides { get; set; } = [];
    public int GpuLayerCount { get; set; } = 20;
    public bool UseMemorymap { get; set; } = true;
    public bool UseMemoryLock { get; set; }
    public uint BatchSize { get; set; } = 512;
    public uint UBatchSize { get; set; } = 512;
    [JsonConverter(typeof(SplitsConverter))]
    public float[] TensorSplits { get; set; } = new float[16];
    public int? TypeK { get; set; }
    public int? TypeV { get; set; }
    public bool NoKqvOffload { get; set; }
    public bool? FlashAttention { get; set; }
    public bool? OpOffload { get; set; }

    public sealed record Override(string Pattern, string BufferType);

    public static LlamaSharpModelParams Read(string json) => JsonSerializer.Deserialize<LlamaSharpModelParams>(json)!;

    // Short arrays are padded with zeros, and a longer one than llama_max_devices() throws.
    private sealed class SplitsConverter : JsonConverter<float[]>
    {
        public override float[] Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options)
        {
            float[] given = JsonSerializer.Deserialize<float[]>(ref reader)!, all = new float[16];
            given.CopyTo(all, 0);
            return all;
        }

        public override void Write(Utf8JsonWriter writer, float[] value, JsonSerializerOptions options) => throw new NotSupportedException();
    }
}
