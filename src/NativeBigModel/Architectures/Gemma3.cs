using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Gemma 3, text: norms on query and key heads, five layers of six with a sliding window and rotary frequencies of their own.</summary>
internal sealed class Gemma3 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. GemmaTensors.Ends,
        .. GemmaTensors.Attention(DecoderTensors.Attention()),
        new("blk.{}.attn_q_norm.weight", GemmaTensors.Norm("model.layers.{}.self_attn.q_norm.weight").Times(GemmaTensors.QueryScale(layersOfLargest: 62)), DecoderTensors.HeadNorm),
        new("blk.{}.attn_k_norm.weight", GemmaTensors.Norm("model.layers.{}.self_attn.k_norm.weight"), DecoderTensors.HeadNorm),
        .. GemmaTensors.FourNorms,
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "gemma3";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Gemma3ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { Windows = true, WindowPeriod = 6 };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        GemmaTensors.RequireCausal(config, Name);
        if (config.Has("attn_logit_softcapping")) throw new UnsupportedModelException($"config.json: attn_logit_softcapping: llama.cpp's {Name} graph has no cap on attention");
        int period = config.OptionalInt(config.FirstOf("sliding_window_pattern", "_sliding_window_pattern")) ?? 6;
        bool[] windowed = DecoderConfig.WindowedLayers(config, period);
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Activations = ["gelu_pytorch_tanh"],
            HeadLength = 256,
            KvHeads = 4,
            Context = 131072,
            RotaryBase = 1e6f,
            // Layers with a window have frequencies of their own, so where none has one the graph has none.
            Windows = windowed.Contains(true) ? (config.OptionalInt("sliding_window") ?? 4096, windowed) : null,
        }.Read().With("rope.freq_base_swa", WindowBase(config));
        return config.OptionalFloat("final_logit_softcapping", 1e-6f, 1e9f) is { } cap ? reading.With("final_logit_softcapping", cap) : reading;
    }

    private static float WindowBase(ConfigReader config)
    {
        ConfigReader? parameters = config.OptionalObject("rope_parameters")?.OptionalObject("sliding_attention");
        if (parameters?.OptionalString("rope_type") is { } type and not "default")
            throw new UnsupportedModelException($"config.json: rope_parameters.sliding_attention: '{type}' scaling is not what llama.cpp's gemma3 graph computes in layers with a window, none is");
        return parameters?.OptionalFloat("rope_theta", 1, 1e12f) ?? config.OptionalFloat("rope_local_base_freq", 1, 1e12f) ?? 10000;
    }
}
