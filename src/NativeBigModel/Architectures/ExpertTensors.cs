using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>Tensor rules of mixtures of experts.</summary>
internal static class ExpertTensors
{
    // llama-hparams.h, LLAMA_MAX_EXPERTS.
    private const int MaxExperts = 512;

    /// <summary>A router and gated experts that the checkpoint holds one by one.</summary>
    /// <param name="block">What precedes every name.</param>
    /// <param name="router">The router's weight.</param>
    /// <param name="expert">What precedes the names of one expert.</param>
    /// <param name="names">Gate, up and down projection.</param>
    public static TensorRule[] Of(string block, string router, string expert, (string Gate, string Up, string Down) names) =>
    [
        new("blk.{}.ffn_gate_inp.weight", block + router, Router) { Where = DecoderTensors.HasExperts },
        new("blk.{}.ffn_gate_exps.weight", Stack(block, expert, names.Gate), In) { Where = DecoderTensors.HasExperts },
        new("blk.{}.ffn_up_exps.weight", Stack(block, expert, names.Up), In) { Where = DecoderTensors.HasExperts },
        new("blk.{}.ffn_down_exps.weight", Stack(block, expert, names.Down), Out) { Where = DecoderTensors.HasExperts },
    ];

    /// <summary>The gated network that every token passes beside the experts.</summary>
    public static TensorRule[] Shared(string block) =>
    [
        new("blk.{}.ffn_gate_shexp.weight", block + "gate_proj.weight", SharedIn) { Where = HasShared },
        new("blk.{}.ffn_up_shexp.weight", block + "up_proj.weight", SharedIn) { Where = HasShared },
        new("blk.{}.ffn_down_shexp.weight", block + "down_proj.weight", SharedOut) { Where = HasShared },
    ];

    /// <summary>How many experts there are, and how many of them a token passes; each with its value where absent.</summary>
    public static (int Count, int Used) Count(ConfigReader config, (string Key, int Default) count, (string Key, int Default) used)
    {
        int all = config.OptionalInt(count.Key, 1, MaxExperts) ?? count.Default;
        return (all, config.OptionalInt(used.Key, 1, all) ?? Math.Min(all, used.Default));
    }

    /// <summary>One expert's width in a GGUF file, which may leave it to the layer's.</summary>
    public static int Length(GgufKeys keys, string architecture, LayerShape layer)
    {
        if (keys.Int($"{architecture}.expert_feed_forward_length", 0, DecoderConfig.MaxExtent) is { } length and > 0) return length;
        return layer.FeedForwardLength / Math.Max(1, keys.Int($"{architecture}.expert_used_count", 0, MaxExperts) ?? 1);
    }

    public static long[] Router(ModelShape model, LayerShape _) => [model.EmbeddingLength, model.ExpertCount];

    public static long[] In(ModelShape model, LayerShape layer) => [model.EmbeddingLength, layer.ExpertLength, model.ExpertCount];

    public static long[] Out(ModelShape model, LayerShape layer) => [layer.ExpertLength, model.EmbeddingLength, model.ExpertCount];

    public static bool HasShared(LayerShape layer) => layer.SharedExpertLength > 0;

    private static WeightRecipe Stack(string block, string expert, string name) => ((WeightRecipe)$"{block}{expert}{name}.weight").OfExperts();

    private static long[] SharedIn(ModelShape model, LayerShape layer) => [model.EmbeddingLength, layer.SharedExpertLength];

    private static long[] SharedOut(ModelShape model, LayerShape layer) => [layer.SharedExpertLength, model.EmbeddingLength];
}
