using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>ChatGLM 2 and 3 and GLM-4 in the layout of their own code: what transformers calls GLM, with query, key and value together.</summary>
internal sealed class ChatGlm : Architecture
{
    private const string Layer = "transformer.encoder.layers.{}";

    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "transformer.embedding.word_embeddings.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "transformer.encoder.final_layernorm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("transformer.output_layer.weight", "transformer.embedding.word_embeddings.weight", DecoderTensors.Untied),
        new("blk.{}.attn_norm.weight", $"{Layer}.input_layernorm.weight", DecoderTensors.Embedding),
        .. Attention("weight", DecoderTensors.QueryWeight, DecoderTensors.KeyWeight, DecoderTensors.ValueWeight),
        .. Attention("bias", (_, layer) => [Queries(layer)], (_, layer) => [Keys(layer)], (_, layer) => [Keys(layer)]).Select(rule => rule with { When = HasBias }),
        new("blk.{}.attn_output.weight", $"{Layer}.self_attention.dense.weight", DecoderTensors.AttentionOut),
        new("blk.{}.ffn_norm.weight", $"{Layer}.post_attention_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.ffn_gate.weight", HalfOfGateUp(0), DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_up.weight", HalfOfGateUp(1), DecoderTensors.FeedForwardIn),
        new("blk.{}.ffn_down.weight", $"{Layer}.mlp.dense_4h_to_h.weight", DecoderTensors.FeedForwardOut),
    ]);

    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["ChatGLMModel", "ChatGLMForConditionalGeneration"];

    public override TensorMap Tensors => s_map;

    public override string BasePrefix => "transformer.";

    public override bool IsNoWeight(string name, ConfigReader config) => name == "transformer.rotary_pos_emb.inv_freq";

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach ((string key, bool wanted) in ((string, bool)[])
            [("rmsnorm", true), ("post_layer_norm", true), ("original_rope", true), ("apply_residual_connection_post_layernorm", false), ("add_bias_linear", false)])
        {
            if ((config.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's llama graph computes, {wanted} is");
        }
        if (config.Has("pre_seq_len")) throw new UnsupportedModelException("config.json: pre_seq_len: llama.cpp's llama graph has no trained prefix");
        return (Glm.Config(config, Name, modelName) with
        {
            Epsilon = ("layernorm_epsilon", 1e-5f),
            HeadLength = config.OptionalInt("kv_channels", 2, DecoderConfig.MaxExtent) ?? 128,
            KvHeads = config.OptionalBool("multi_query_attention") ?? false ? config.Int("multi_query_group_num", 1, DecoderConfig.MaxExtent) : null,
            Context = config.OptionalInt("seq_length", 1, 1 << 30) ?? 2048,
            RotaryBase = 10000 * (config.OptionalFloat("rope_ratio", 1e-3f, 1e6f) ?? 1),
            PartialRotary = false,
            SpreadsRotary = true,
            ReadsRotaryFactors = true,
        }).Read();
    }

    private static bool HasBias(ConfigReader config) => config.OptionalBool("add_qkv_bias") ?? false;

    private static TensorRule[] Attention(string kind, params ReadOnlySpan<Func<ModelShape, LayerShape, long[]>> dimensions) =>
    [
        new($"blk.{{}}.attn_q.{kind}", Part(kind, _ => 0), dimensions[0]),
        new($"blk.{{}}.attn_k.{kind}", Part(kind, Queries), dimensions[1]),
        new($"blk.{{}}.attn_v.{kind}", Part(kind, layer => Queries(layer) + Keys(layer)), dimensions[2]),
    ];

    private static WeightRecipe Part(string kind, Func<LayerShape, long> first) => ((WeightRecipe)$"{Layer}.self_attention.query_key_value.{kind}")
        .Rows(place => RowOrders.From(first(place.Layer)), place => RowOrders.FusedRows(place.Layer));

    private static WeightRecipe HalfOfGateUp(int half) => ((WeightRecipe)$"{Layer}.mlp.dense_h_to_4h.weight")
        .Rows(place => RowOrders.From(half * (long)place.Layer.FeedForwardLength), place => 2L * place.Layer.FeedForwardLength);

    private static long Queries(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength;

    private static long Keys(LayerShape layer) => (long)layer.KvHeadCount * layer.KeyLength;
}
