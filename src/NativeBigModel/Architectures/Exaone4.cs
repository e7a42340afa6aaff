using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>EXAONE 4: norms behind attention and the feed-forward network; in the largest, windows in three layers of four and rotary positions in those alone.</summary>
internal sealed class Exaone4 : Architecture
{
    // llama.cpp's graph has windows in a model of this many layers and in no other (exaone4.cpp).
    private const int LayersOfWindowed = 64;

    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention().Where(rule => rule.Gguf != "blk.{}.attn_norm.weight"),
        .. DecoderTensors.HeadNorms,
        new("blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.GatedProjections,
        new("blk.{}.post_ffw_norm.weight", "model.layers.{}.post_feedforward_layernorm.weight", DecoderTensors.Embedding),
    ]);

    public override string Name => "exaone4";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Exaone4ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, Windows = true, WindowPeriod = 4 };

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => keys.Long($"{Name}.block_count") == LayersOfWindowed ? layer : layer with { SlidingWindow = null };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        int layers = DecoderConfig.LayerCount(config);
        // In transformers absent means 4096, null means none.
        int? window = config.Mentions("sliding_window") ? config.OptionalInt("sliding_window") : 4096;
        bool[] windowed = window is null ? new bool[layers] : WindowedLayers(config);
        if (window is null == (layers == LayersOfWindowed))
            throw new UnsupportedModelException($"config.json: sliding_window: {(window is null ? "none" : $"{window} tokens")} with {layers} layers, and llama.cpp's exaone4 graph has a window in a model of {LayersOfWindowed} layers and in no other");
        // Layers without one have no rotary positions, unless none of the model has one.
        if (window is not null && !windowed.Contains(true)) throw new UnsupportedModelException("config.json: layer_types: names no layer with a window, and llama.cpp's exaone4 graph has rotary positions in those alone");
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("rms_norm_eps", 1e-5f),
            ReadsRotaryFactors = true,
            Windows = window is { } tokens ? (tokens, windowed) : null,
        }.Read();
    }

    // The pattern is a number of layers or a letter for each of them, L for those with a window; published files have the letters beside layer_types.
    private static bool[] WindowedLayers(ConfigReader config)
    {
        const string Key = "sliding_window_pattern";
        if (config.Has("layer_types") || !config.Has(Key) || config.IsNumber(Key)) return DecoderConfig.WindowedLayers(config, config.IsNumber(Key) ? config.Int(Key) : 4);
        string letters = config.String(Key);
        if (letters.Length == 0) throw config.Error(Key, "is empty");
        return [.. Enumerable.Range(0, DecoderConfig.LayerCount(config)).Select(layer => letters[layer % letters.Length] == 'L')];
    }
}
