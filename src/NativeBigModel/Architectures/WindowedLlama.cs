using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>
/// Llama with a sliding window in some layers, or without rotary positions in some: llama.cpp's graph of Granite with windows, whose multipliers are left out and whose
/// sinks, what a head may attend to in place of any token, are so low that none does.
/// </summary>
/// <param name="likeLlama">The tensors for the llama graph.</param>
/// <param name="read">Reads the configuration for a graph.</param>
/// <param name="windows">Which layers, if any, have a window of how many tokens.</param>
/// <param name="rotary">Which layers have rotary positions; null for all.</param>
internal sealed class WindowedLlama(TensorMap likeLlama, Func<ConfigReader, string, string, DecoderConfig>? read, (int Tokens, bool[] Layers) windows, bool[]? rotary = null) : Architecture
{
    private const float NoSink = -1e30f;

    private readonly TensorMap _map = new([.. likeLlama.Rules, new("blk.{}.attn_sinks.weight", WeightRecipe.Constant(NoSink), (_, layer) => [layer.HeadCount])]);

    /// <summary>The graph as it is in a GGUF file.</summary>
    public WindowedLlama() : this(Llama.Map, null, default) { }

    public override string Name => "granite_swa";

    public override IReadOnlyList<string> HuggingFaceClasses => [];

    public override TensorMap Tensors => _map;

    public override GraphTraits Graph => new() { Windows = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        DecoderConfig decoder = read is not null ? read(config, Name, modelName) : throw new UnsupportedModelException($"config.json: architectures: no class of transformers is {Name}");
        ArchitectureReading reading = (decoder with { MissingWindow = null, Windows = windows, ReadsRotaryFactors = true }).Read().With("logit_scale", 1f);
        return rotary is null ? reading : reading.With("attention.rope_pattern", rotary);
    }

    /// <summary>Whether a window is shorter than the context, so that it matters.</summary>
    public static bool Matters(int? window, DecoderConfig decoder) => window is { } tokens && tokens < decoder.DefinedContext;

    /// <summary>Every layer with a window.</summary>
    public static (int Tokens, bool[] Layers) Everywhere(int tokens, ConfigReader config) => (tokens, [.. Enumerable.Repeat(true, DecoderConfig.LayerCount(config))]);
}
