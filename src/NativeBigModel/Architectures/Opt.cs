using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>
/// OPT: learned positions and a ReLU, on llama.cpp's mpt graph. That has a GELU followed by divisors of the activation, and the GELU of a number many times as large, divided by as
/// much, is the ReLU but for what lies next to zero.
/// </summary>
internal sealed class Opt : Architecture
{
    // A power of two, so that nothing is rounded: the two differ by less than 0.17 / Steepness, for values within 10 / Steepness of zero.
    private const float Steepness = 4096;

    // transformers' modeling_opt.py: the first positions are never used.
    private const int PositionOffset = 2;

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.decoder.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("position_embd.weight", ((WeightRecipe)"model.decoder.embed_positions.weight").Rows(_ => RowOrders.From(PositionOffset), place => place.Model.ContextLength + PositionOffset),
            (model, _) => [model.EmbeddingLength, model.ContextLength]),
        .. BiasedTensors.Norm("output_norm", "model.decoder.final_layer_norm"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. BiasedTensors.Norm("blk.{}.attn_norm", "model.decoder.layers.{}.self_attn_layer_norm"),
        new("blk.{}.attn_qkv.weight", Fused("weight"), DecoderTensors.FusedWeight),
        new("blk.{}.attn_qkv.bias", Fused("bias"), DecoderTensors.FusedBias),
        .. BiasedTensors.Linear("blk.{}.attn_output", "model.decoder.layers.{}.self_attn.out_proj", DecoderTensors.AttentionOut),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "model.decoder.layers.{}.final_layer_norm"),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "model.decoder.layers.{}.fc1", DecoderTensors.FeedForwardIn).Select(rule => rule with { HuggingFace = rule.HuggingFace.Times(_ => Steepness) }),
        new("blk.{}.ffn.act.scales", WeightRecipe.Constant(Steepness), DecoderTensors.FeedForward),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "model.decoder.layers.{}.fc2", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "mpt";

    public override IReadOnlyList<string> HuggingFaceClasses => ["OPTForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach ((string key, bool wanted) in ((string, bool)[])[("do_layer_norm_before", true), ("enable_bias", true), ("layer_norm_elementwise_affine", true), ("_remove_final_layer_norm", false)])
        {
            if ((config.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's mpt graph computes, {wanted} is");
        }
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_eps", 1e-5f),
            LayerNorm = true,
            Activations = ["relu"],
            RotaryShare = 0,
        }.Read();
        int embedding = reading.Shape.EmbeddingLength;
        if ((config.OptionalInt("word_embed_proj_dim") ?? embedding) is var projected && projected != embedding)
            throw new UnsupportedModelException($"config.json: word_embed_proj_dim: is {projected}, and llama.cpp's mpt graph has embeddings as wide as the model, {embedding}");
        return reading;
    }

    private static WeightRecipe Fused(string kind)
    {
        WeightRecipe Part(string projection) => $"model.decoder.layers.{{}}.self_attn.{projection}_proj.{kind}";
        return WeightRecipe.Joined(place => (long)place.Layer.HeadCount * place.Layer.KeyLength, Part("q"), Part("k"), Part("v"));
    }
}
