using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GPT-2: learned positions, and projections that are stored transposed (transformers' Conv1D).</summary>
internal sealed class Gpt2 : Architecture
{
    private const string Fused = "transformer.h.{}.attn.c_attn";

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.wte.weight", DecoderTensors.Vocabulary),
        new("position_embd.weight", "transformer.wpe.weight", (model, _) => [model.EmbeddingLength, model.ContextLength]),
        .. BiasedTensors.Norm("output_norm", "transformer.ln_f"),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = DecoderTensors.UntiedIfSaid },
        .. BiasedTensors.Norm("blk.{}.attn_norm", "transformer.h.{}.ln_1"),
        .. Turned(BiasedTensors.Linear("blk.{}.attn_qkv", Fused, DecoderTensors.FusedWeight)).Select(rule => rule with { When = config => !ScalesQueries(config) }),
        .. Turned(BiasedTensors.Linear("blk.{}.attn_qkv", Fused, DecoderTensors.FusedWeight)).Select(rule => rule with { HuggingFace = WithScaledQueries(rule.HuggingFace), When = ScalesQueries }),
        .. Turned(BiasedTensors.Linear("blk.{}.attn_output", "transformer.h.{}.attn.c_proj", DecoderTensors.AttentionOut)),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "transformer.h.{}.ln_2"),
        .. Turned(BiasedTensors.Linear("blk.{}.ffn_up", "transformer.h.{}.mlp.c_fc", DecoderTensors.FeedForwardIn)),
        .. Turned(BiasedTensors.Linear("blk.{}.ffn_down", "transformer.h.{}.mlp.c_proj", DecoderTensors.FeedForwardOut)),
    ]);

    public override string Name => "gpt2";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GPT2LMHeadModel"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override bool IsNoWeight(string name, ConfigReader config) => GptJTensors.IsMask(name);

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        if (config.OptionalBool("add_cross_attention") ?? false) throw new UnsupportedModelException("config.json: add_cross_attention: llama.cpp's gpt2 graph has no encoder");
        return new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("layer_norm_epsilon", 1e-5f),
            LayerNorm = true,
            Activations = Activation.Gelu,
            FeedForwardFactor = 4,
            Context = 1024,
            RotaryShare = 0,
        }.Read();
    }

    private static bool IsScaledByHead(ConfigReader config) => config.OptionalBool("scale_attn_weights") ?? true;

    private static bool IsScaledByLayer(ConfigReader config) => config.OptionalBool("scale_attn_by_inverse_layer_idx") ?? false;

    private static bool ScalesQueries(ConfigReader config) => !IsScaledByHead(config) || IsScaledByLayer(config);

    // The graph divides scores by the root of the head's length, in every layer alike: what else a model does to them is done to its queries.
    private static WeightRecipe WithScaledQueries(WeightRecipe fused)
    {
        static long Width(Place place) => place.Model.EmbeddingLength;
        WeightRecipe Part(int index) => fused.Rows(place => RowOrders.From(index * Width(place)), place => 3 * Width(place));
        return WeightRecipe.Joined(Width, Part(0).Times(place => (IsScaledByHead(place.Config) ? 1 : MathF.Sqrt(place.Layer.KeyLength)) / (IsScaledByLayer(place.Config) ? place.LayerIndex + 1 : 1)), Part(1), Part(2));
    }

    private static IEnumerable<TensorRule> Turned(IEnumerable<TensorRule> rules) =>
        rules.Select(rule => rule.Gguf.EndsWith(".weight", StringComparison.Ordinal) ? rule with { HuggingFace = rule.HuggingFace.Transposed() } : rule);
}
