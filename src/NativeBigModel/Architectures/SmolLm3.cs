using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>SmolLM3: Llama without rotary positions in every fourth layer; in other layers, or with windows, it is computed as a windowed Llama.</summary>
internal sealed class SmolLm3 : Architecture
{
    // llama.cpp's graph knows no other (smollm3.cpp).
    private const int GraphInterval = 4;

    private static readonly TensorMap s_map = new([.. DecoderTensors.TiedEnds, .. DecoderTensors.Attention(RowOrders.HalvesToPairs), .. DecoderTensors.GatedFeedForward]);

    public override string Name => "smollm3";

    public override IReadOnlyList<string> HuggingFaceClasses => ["SmolLM3ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override Architecture For(ConfigReader config)
    {
        bool[] rotary = RotaryLayers(config), usual = Every(GraphInterval, rotary.Length);
        int? window = config.OptionalBool("use_sliding_window") ?? false ? config.OptionalInt("sliding_window") : null;
        if (window is null && rotary.AsSpan().SequenceEqual(usual)) return this;
        // With a window, and no list of layers, those without rotary positions have it (transformers' SmolLM3Config).
        bool[] windowed = window is null ? new bool[rotary.Length] : config.Has("layer_types") ? DecoderConfig.WindowedLayers(config, 1) : [.. rotary.Select(has => !has)];
        return new WindowedLlama(s_map, Decoder, (window ?? 0, windowed), rotary);
    }

    public override ArchitectureReading Read(ConfigReader config, string modelName) => Decoder(config, Name, modelName).Read();

    private static DecoderConfig Decoder(ConfigReader config, string graph, string modelName)
    {
        if (DecoderTensors.AttentionBias(config) || DecoderTensors.MlpBias(config)) throw new UnsupportedModelException($"config.json: attention_bias, mlp_bias: llama.cpp's {graph} graph has no biases for this family");
        return new(config, graph, modelName) { KvHeads = 4, Context = 32768, RotaryBase = 2e6f };
    }

    private static bool[] RotaryLayers(ConfigReader config)
    {
        int layers = DecoderConfig.LayerCount(config);
        if (!config.Has("no_rope_layers")) return Every(config.OptionalInt("no_rope_layer_interval") ?? GraphInterval, layers);
        bool[] given = [.. config.Integers("no_rope_layers", 0, 1).Select(has => has == 1)];
        return given.Length >= layers ? given[..layers] : throw config.Error("no_rope_layers", $"has {given.Length} entries for {layers} layers");
    }

    private static bool[] Every(int interval, int layers) => [.. Enumerable.Range(0, layers).Select(layer => (layer + 1) % interval != 0)];
}
