using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>What GPT-J and its descendants share.</summary>
internal static class GptJTensors
{
    /// <summary>Everything but query, key and value.</summary>
    public static readonly TensorRule[] Shared =
    [
        new("token_embd.weight", "transformer.wte.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("output_norm", "transformer.ln_f"),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "transformer.wte.weight", DecoderTensors.Untied),
        new("output.bias", "lm_head.bias", (model, _) => [model.VocabularySize]),
        .. BiasedTensors.Norm("blk.{}.attn_norm", "transformer.h.{}.ln_1"),
        new("blk.{}.attn_q.bias", WeightRecipe.Constant(0), (_, layer) => [(long)layer.HeadCount * layer.KeyLength]),
        new("blk.{}.attn_k.bias", WeightRecipe.Constant(0), (_, layer) => [(long)layer.KvHeadCount * layer.KeyLength]),
        new("blk.{}.attn_v.bias", WeightRecipe.Constant(0), (_, layer) => [(long)layer.KvHeadCount * layer.ValueLength]),
        new("blk.{}.attn_output.weight", "transformer.h.{}.attn.out_proj.weight", DecoderTensors.AttentionOut),
        new("blk.{}.attn_output.bias", WeightRecipe.Constant(0), DecoderTensors.Embedding),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "transformer.h.{}.mlp.fc_in", DecoderTensors.FeedForwardIn),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "transformer.h.{}.mlp.fc_out", DecoderTensors.FeedForwardOut),
    ];

    public static bool IsMask(string name) =>
        name.EndsWith(".attn.bias", StringComparison.Ordinal) || name.EndsWith(".attn.masked_bias", StringComparison.Ordinal) || name.EndsWith(".attn.causal_mask", StringComparison.Ordinal);

    public static ArchitectureReading Read(ConfigReader config, string graph, string modelName) => new DecoderConfig(config, graph, modelName)
    {
        Epsilon = ("layer_norm_epsilon", 1e-5f),
        LayerNorm = true,
        Activations = Activation.Gelu,
        FeedForwardFactor = 4,
        PartialRotary = true,
        RotaryDimensions = 64,
    }.Read();
}
