using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>Baichuan 1 and 2: Llama with query, key and value in one tensor. The larger size has slopes on attention in place of rotary positions; the second version's output is normalised.</summary>
internal sealed class Baichuan : Architecture
{
    private static readonly TensorMap s_rotary = Map(RowOrders.HalvesToPairs);
    private static readonly TensorMap s_sloped = Map(null);

    public override string Name => "llama";

    public override IReadOnlyList<string> HuggingFaceClasses => ["BaichuanForCausalLM", "BaiChuanForCausalLM"];

    public override TensorMap Tensors => s_rotary;

    public override Architecture For(ConfigReader config) => HasSlopes(config) ? new SlopedLlama(s_sloped, Decoder) : this;

    public override ArchitectureReading Read(ConfigReader config, string modelName) => Decoder(config, Name, modelName).Read();

    // Their configurations name the context differently, and nothing else tells them apart.
    private static bool HasSlopes(ConfigReader config) => !config.Has("max_position_embeddings");

    private static bool IsSecond(ConfigReader config) => config.Has("z_loss_weight");

    private static DecoderConfig Decoder(ConfigReader config, string graph, string modelName) => new(config, graph, modelName)
    {
        Context = config.OptionalInt("model_max_length", 1, 1 << 30) ?? 4096,
    };

    private static TensorMap Map(Func<Place, RowMap>? order) => new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "model.norm.weight", DecoderTensors.Embedding),
        new("output.weight", "lm_head.weight", DecoderTensors.Vocabulary) { When = config => !IsSecond(config) },
        new("output.weight", ((WeightRecipe)"lm_head.weight").WithUnitRows(), DecoderTensors.Vocabulary) { When = IsSecond },
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_q.weight", DecoderTensors.Ordered(Part(0), order), DecoderTensors.QueryWeight),
        new("blk.{}.attn_k.weight", DecoderTensors.Ordered(Part(1), order), DecoderTensors.KeyWeight),
        new("blk.{}.attn_v.weight", Part(2), DecoderTensors.ValueWeight),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", DecoderTensors.AttentionOut),
        .. DecoderTensors.GatedFeedForward,
    ]);

    private static WeightRecipe Part(int part) => ((WeightRecipe)"model.layers.{}.self_attn.W_pack.weight")
        .Rows(place => RowOrders.From(part * (long)place.Layer.HeadCount * place.Layer.KeyLength), place => RowOrders.FusedRows(place.Layer));
}
