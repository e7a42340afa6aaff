using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Gemma 2: soft caps on attention and output, every second layer with a sliding window.</summary>
internal sealed class Gemma2 : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. GemmaTensors.Ends,
        .. GemmaTensors.Attention(DecoderTensors.Attention().Select(rule =>
            rule.Gguf == "blk.{}.attn_q.weight" ? rule with { HuggingFace = rule.HuggingFace.Times(GemmaTensors.QueryScale(layersOfLargest: 46)) } : rule)),
        .. GemmaTensors.FourNorms,
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "gemma2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Gemma2ForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { Windows = true, WindowPeriod = 2 };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        GemmaTensors.RequireCausal(config, Name);
        return new DecoderConfig(config, Name, modelName)
        {
            Activations = ["gelu_pytorch_tanh"],
            HeadLength = 256,
            KvHeads = 4,
            Context = 8192,
            Windows = (config.OptionalInt("sliding_window") ?? 4096, DecoderConfig.WindowedLayers(config, period: 2)),
        }.Read()
            .With("attn_logit_softcapping", Cap(config, "attn_logit_softcapping", 50))
            .With("final_logit_softcapping", Cap(config, "final_logit_softcapping", 30));
    }

    private float Cap(ConfigReader config, string key, float byDefault)
    {
        if (config.Mentions(key) && !config.Has(key)) throw new UnsupportedModelException($"config.json: {key}: is null, and llama.cpp's {Name} graph always has a cap");
        return config.OptionalFloat(key, 1e-6f, 1e9f) ?? byDefault;
    }
}
