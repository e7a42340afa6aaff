using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Qwen 1.5 and 2 with experts, and one expert that every token passes.</summary>
internal sealed class Qwen2Moe : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "model.norm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(when: config => config.OptionalBool("qkv_bias") ?? true),
        DecoderTensors.FeedForwardNorm,
        .. ExpertTensors.Of("model.layers.{}.mlp.", "gate.weight", "experts.{e}.", ("gate_proj", "up_proj", "down_proj")),
        .. ExpertTensors.Shared("model.layers.{}.mlp.shared_expert."),
        new("blk.{}.ffn_gate_inp_shexp.weight", "model.layers.{}.mlp.shared_expert_gate.weight", DecoderTensors.Embedding),
    ]);

    public override string Name => "qwen2moe";

    public override IReadOnlyList<string> HuggingFaceClasses => ["Qwen2MoeForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalBool("norm_topk_prob") ?? false) throw new UnsupportedModelException("config.json: norm_topk_prob: true is not what llama.cpp's qwen2moe graph computes, false is");
        int expert = config.OptionalInt("moe_intermediate_size", 1, DecoderConfig.MaxExtent) ?? 1408;
        int shared = config.OptionalInt("shared_expert_intermediate_size", 1, DecoderConfig.MaxExtent) ?? 5632;
        RequireExpertsEverywhere(config, Name);
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            MissingWindow = Qwen2.Window(config),
            Context = 32768,
            Experts = ExpertTensors.Count(config, ("num_experts", 60), ("num_experts_per_tok", 4)),
            Layer = (layer, _) => layer with { ExpertLength = expert, SharedExpertLength = shared },
        }.Read();
        return reading.With("expert_feed_forward_length", (uint)expert).With("expert_shared_feed_forward_length", (uint)shared);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => layer with
    {
        ExpertLength = ExpertTensors.Length(keys, Name, layer),
        SharedExpertLength = keys.Int($"{Name}.expert_shared_feed_forward_length", 0, DecoderConfig.MaxExtent) is { } shared and > 0 ? shared : layer.FeedForwardLength,
    };

    /// <summary>The graphs of Qwen's experts have them in every layer.</summary>
    public static void RequireExpertsEverywhere(ConfigReader config, string graph)
    {
        int step = config.OptionalInt("decoder_sparse_step") ?? 1;
        if (step != 1) throw new UnsupportedModelException($"config.json: decoder_sparse_step: is {step}, and llama.cpp's {graph} graph has experts in every layer");
        if (config.Has("mlp_only_layers") && config.Integers("mlp_only_layers", 0, DecoderConfig.MaxLayers).Any())
            throw new UnsupportedModelException($"config.json: mlp_only_layers: names layers without experts, and llama.cpp's {graph} graph has them in every layer");
    }
}
