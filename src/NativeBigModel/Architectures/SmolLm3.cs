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
        bool windows = config.OptionalBool("use_sliding_window") ?? false;
        if (!windows && rotary.AsSpan().SequenceEqual(usual)) return this;
        int tokens = windows ? config.OptionalInt("sliding_window") ?? throw config.Error("sliding_window", "is missing, and use_sliding_window is true") : Decoder(config, Name, "").DefinedContext;
        // With windows, and no list of layers, those with rotary positions have them.
        bool[] windowed = !windows ? new bool[rotary.Length] : config.Has("layer_types") ? DecoderConfig.WindowedLayers(config, 1) : rotary;
        return new WindowedLlama(s_map, Decoder, (tokens, windowed), rotary);
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
        return given.Length == layers ? given : throw config.Error("no_rope_layers", $"has {given.Length} entries for {layers} layers");
    }

    private static bool[] Every(int interval, int layers) => [.. Enumerable.Range(0, layers).Select(layer => (layer + 1) % interval != 0)];
}
