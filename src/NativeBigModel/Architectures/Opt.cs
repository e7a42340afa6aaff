using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>
/// OPT and Galactica: learned positions and a ReLU or a GELU, on llama.cpp's mpt graph. That has a GELU followed by divisors of the activation, and the GELU of a number many times as large, divided by as
/// much, is the ReLU but for what lies next to zero.
/// </summary>
internal sealed class Opt : Architecture
{
    // A power of two, so that nothing is rounded: the two differ by less than 0.17 / Steepness, for values within 10 / Steepness of zero.
    private const float Steepness = 4096;

    private const string Relu = "relu";

    // transformers' modeling_opt.py: the first positions are never used.
    private const int PositionOffset = 2;

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.decoder.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("position_embd.weight", ((WeightRecipe)"model.decoder.embed_positions.weight").Rows(_ => RowOrders.From(PositionOffset), place => place.Model.ContextLength + PositionOffset),
            (model, _) => [model.EmbeddingLength, model.ContextLength]),
        .. Norm("output_norm", "model.decoder.final_layer_norm"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. Norm("blk.{}.attn_norm", "model.decoder.layers.{}.self_attn_layer_norm"),
        new("blk.{}.attn_qkv.weight", Fused("weight"), DecoderTensors.FusedWeight),
        new("blk.{}.attn_qkv.bias", Fused("bias"), DecoderTensors.FusedBias) { When = HasBias },
        .. Linear("blk.{}.attn_output", "model.decoder.layers.{}.self_attn.out_proj", DecoderTensors.AttentionOut),
        .. Norm("blk.{}.ffn_norm", "model.decoder.layers.{}.final_layer_norm"),
        .. Linear("blk.{}.ffn_up", "model.decoder.layers.{}.fc1", DecoderTensors.FeedForwardIn).Select(rule => rule with { HuggingFace = rule.HuggingFace.Times(place => IsRelu(place.Config) ? Steepness : 1) }),
        new("blk.{}.ffn.act.scales", WeightRecipe.Constant(Steepness), DecoderTensors.FeedForward) { When = IsRelu },
        .. Linear("blk.{}.ffn_down", "model.decoder.layers.{}.fc2", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "mpt";

    public override IReadOnlyList<string> HuggingFaceClasses => ["OPTForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach ((string key, bool wanted) in ((string, bool)[])[("do_layer_norm_before", true), ("_remove_final_layer_norm", false)])
        {
            if ((config.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's mpt graph computes, {wanted} is");
        }
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_eps", 1e-5f),
            LayerNorm = true,
            Activations = [Relu, .. Activation.Gelu],
            RotaryShare = 0,
        }.Read();
        int embedding = reading.Shape.EmbeddingLength;
        if ((config.OptionalInt("word_embed_proj_dim") ?? embedding) is var projected && projected != embedding)
            throw new UnsupportedModelException($"config.json: word_embed_proj_dim: is {projected}, and llama.cpp's mpt graph has embeddings as wide as the model, {embedding}");
        return reading;
    }

    private static bool IsRelu(ConfigReader config) => config.OptionalString("activation_function") is null or Relu;

    private static bool HasBias(ConfigReader config) => config.OptionalBool("enable_bias") ?? true;

    private static bool HasNormWeights(ConfigReader config) => config.OptionalBool("layer_norm_elementwise_affine") ?? true;

    private static IEnumerable<TensorRule> Linear(string gguf, string huggingFace, Func<ModelShape, LayerShape, long[]> dimensions) =>
        BiasedTensors.Linear(gguf, huggingFace, dimensions).Select(rule => rule.Gguf.EndsWith(".bias", StringComparison.Ordinal) ? rule with { When = HasBias } : rule);

    private static IEnumerable<TensorRule> Norm(string gguf, string huggingFace) =>
    [
        .. BiasedTensors.Norm(gguf, huggingFace).Select(rule => rule with { When = HasNormWeights }),
        new($"{gguf}.weight", WeightRecipe.Constant(1), DecoderTensors.Embedding) { When = config => !HasNormWeights(config) },
    ];

    private static WeightRecipe Fused(string kind)
    {
        WeightRecipe Part(string projection) => $"model.decoder.layers.{{}}.self_attn.{projection}_proj.{kind}";
        return WeightRecipe.Joined(place => (long)place.Layer.HeadCount * place.Layer.KeyLength, Part("q"), Part("k"), Part("v"));
    }
}
