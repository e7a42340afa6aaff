using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 3 with experts.</summary>
internal sealed class Qwen3Moe : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.HeadNorms,
        DecoderTensors.FeedForwardNorm,
        .. ExpertTensors.Of("model.layers.{}.mlp.", "gate.weight", "experts.{e}.", ("gate_proj", "up_proj", "down_proj")),
    ]);

    public override string Name => "qwen3moe";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Qwen3MoeForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (DecoderTensors.AttentionBias(config)) throw new UnsupportedModelException("config.json: attention_bias: llama.cpp's qwen3moe graph has no bias on the output projection");
        Qwen2Moe.RequireExpertsEverywhere(config, Name);
        int expert = config.OptionalInt("moe_intermediate_size", 1, DecoderConfig.MaxExtent) ?? 768;
        (int Count, int Used) experts = ExpertTensors.Count(config, (config.FirstOf("num_experts", "num_local_experts"), 128), ("num_experts_per_tok", 8));
        if (!(config.OptionalBool("norm_topk_prob") ?? false)) throw new UnsupportedModelException("config.json: norm_topk_prob: false is not what llama.cpp's qwen3moe graph computes, true is");
        return new DecoderConfig(config, Name, modelName)
        {
            KvHeads = 4,
            Context = 32768,
            MissingWindow = Qwen2.Window(config),
            Experts = experts,
            Layer = (layer, _) => layer with { ExpertLength = expert },
        }.Read().With("expert_feed_forward_length", (uint)expert);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => layer with { ExpertLength = ExpertTensors.Length(keys, Name, layer) };
}
