using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 1.5, 2 and 2.5: biases on the query, key and value projections.</summary>
internal sealed class Qwen2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(),
        .. DecoderTensors.GatedFeedForward,
    ]);

    // For the graph that has windows, which turns pairs.
    private static readonly TensorMap s_likeLlama = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(RowOrders.HalvesToPairs),
        .. DecoderTensors.QkvBiases(RowOrders.HalvesToPairs),
        .. DecoderTensors.GatedFeedForward,
    ]);

    public override string Name => "qwen2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Qwen2ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override Architecture For(ConfigReader config)
    {
        int? window = Window(config);
        if (!WindowedLlama.Matters(window, Decoder(config, Name, ""))) return this;
        int first = config.OptionalInt("max_window_layers", 0) ?? 0;
        bool[] layers = config.Has("layer_types") ? DecoderConfig.WindowedLayers(config, 1) : [.. Enumerable.Range(0, DecoderConfig.LayerCount(config)).Select(layer => layer >= first)];
        return new WindowedLlama(s_likeLlama, Decoder, (window!.Value, layers));
    }

    public override ArchitectureReading Read(ConfigReader config, string modelName) => Decoder(config, Name, modelName).Read();

    private static DecoderConfig Decoder(ConfigReader config, string graph, string modelName) => new(config, graph, modelName);

    /// <summary>The sliding window of Qwen 2 and 3, which <c>use_sliding_window</c> turns on for the layers from <c>max_window_layers</c>.</summary>
    public static int? Window(ConfigReader config)
    {
        if (!(config.OptionalBool("use_sliding_window") ?? false)) return null;
        bool anyLayer = (config.OptionalInt("max_window_layers", 0) ?? 0) < config.Int("num_hidden_layers");
        return anyLayer ? config.OptionalInt("sliding_window") : null;
    }
}
