using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>GPT-NeoX and Pythia: query, key and value lie together head by head; attention and the feed-forward network stand side by side or one after the other.</summary>
internal sealed class GptNeoX : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "gpt_neox.embed_in.weight", DecoderTensors.Vocabulary),
        .. BiasedTensors.Norm("output_norm", "gpt_neox.final_layer_norm"),
        .. DecoderTensors.AlwaysOutput("embed_out.weight", "gpt_neox.embed_in.weight", DecoderTensors.Untied),
        .. BiasedTensors.Norm("blk.{}.attn_norm", "gpt_neox.layers.{}.input_layernorm"),
        new("blk.{}.attn_qkv.weight", ((WeightRecipe)"gpt_neox.layers.{}.attention.query_key_value.weight").Rows(RowOrders.GroupedToFused), DecoderTensors.FusedWeight),
        .. DecoderTensors.BiasOrZero("blk.{}.attn_qkv.bias", ((WeightRecipe)"gpt_neox.layers.{}.attention.query_key_value.bias").Rows(RowOrders.GroupedToFused), DecoderTensors.FusedBias, HasBias),
        new("blk.{}.attn_output.weight", "gpt_neox.layers.{}.attention.dense.weight", DecoderTensors.AttentionOut),
        .. DecoderTensors.BiasOrZero("blk.{}.attn_output.bias", "gpt_neox.layers.{}.attention.dense.bias", DecoderTensors.Embedding, HasBias),
        .. BiasedTensors.Norm("blk.{}.ffn_norm", "gpt_neox.layers.{}.post_attention_layernorm"),
        .. BiasedTensors.Linear("blk.{}.ffn_up", "gpt_neox.layers.{}.mlp.dense_h_to_4h", DecoderTensors.FeedForwardIn),
        .. BiasedTensors.Linear("blk.{}.ffn_down", "gpt_neox.layers.{}.mlp.dense_4h_to_h", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "gptneox";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GPTNeoXForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "gpt_neox.";

    public override GraphTraits Graph => new() { AsWideAsModel = true, WholeHeads = false };

    public override bool IsNoWeight(string name, ConfigReader config) =>
        name.EndsWith(".attention.bias", StringComparison.Ordinal) || name.EndsWith(".attention.masked_bias", StringComparison.Ordinal);

    public override ArchitectureReading Read(ConfigReader config, string modelName) => new DecoderConfig(config, Name, modelName)
    {
        Epsilon = ("layer_norm_eps", 1e-5f),
        LayerNorm = true,
        Activations = Activation.Gelu,
        PartialRotary = true,
        RotaryShare = 0.25f,
    }.Read().With("use_parallel_residual", config.OptionalBool("use_parallel_residual") ?? true);

    private static bool HasBias(ConfigReader config) => config.OptionalBool("attention_bias") ?? true;
}
