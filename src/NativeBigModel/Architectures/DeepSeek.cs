using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>DeepSeek V2 and V3: latent attention, experts after some dense layers, and one expert for every token.</summary>
internal abstract class DeepSeek : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        new("blk.{}.attn_norm.weight", "model.layers.{}.input_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.attn_q.weight", ((WeightRecipe)"model.layers.{}.self_attn.q_proj.weight").Times(QueryScale), (model, layer) => [model.EmbeddingLength, Query(layer)]) { Where = layer => layer.Latent!.QueryRank == 0 },
        new("blk.{}.attn_q_a.weight", "model.layers.{}.self_attn.q_a_proj.weight", (model, layer) => [model.EmbeddingLength, layer.Latent!.QueryRank]) { Where = CompressesQueries },
        new("blk.{}.attn_q_a_norm.weight", "model.layers.{}.self_attn.q_a_layernorm.weight", (_, layer) => [layer.Latent!.QueryRank]) { Where = CompressesQueries },
        new("blk.{}.attn_q_b.weight", ((WeightRecipe)"model.layers.{}.self_attn.q_b_proj.weight").Times(QueryScale), (_, layer) => [layer.Latent!.QueryRank, Query(layer)]) { Where = CompressesQueries },
        new("blk.{}.attn_kv_a_mqa.weight", "model.layers.{}.self_attn.kv_a_proj_with_mqa.weight", (model, layer) => [model.EmbeddingLength, layer.KeyLength]),
        new("blk.{}.attn_kv_a_norm.weight", "model.layers.{}.self_attn.kv_a_layernorm.weight", (_, layer) => [layer.Latent!.Rank]),
        new("blk.{}.attn_k_b.weight", KeyValue(layer => 0).Transposed(), (_, layer) => [layer.Latent!.PlainLength, layer.Latent.Rank, layer.HeadCount]),
        new("blk.{}.attn_v_b.weight", KeyValue(layer => layer.Latent!.PlainLength), (_, layer) => [layer.Latent!.Rank, layer.Latent.HeadValueLength, layer.HeadCount]),
        new("blk.{}.attn_output.weight", "model.layers.{}.self_attn.o_proj.weight", (model, layer) => [(long)layer.HeadCount * layer.Latent!.HeadValueLength, model.EmbeddingLength]),
        .. DecoderTensors.GatedFeedForward,
        .. ExpertTensors.Of("model.layers.{}.mlp.", "gate.weight", "experts.{e}.", ("gate_proj", "up_proj", "down_proj")),
        new("blk.{}.exp_probs_b.bias", "model.layers.{}.mlp.gate.e_score_correction_bias", (model, _) => [model.ExpertCount]) { When = IsThird, Where = DecoderTensors.HasExperts },
        .. ExpertTensors.Shared("model.layers.{}.mlp.shared_experts."),
    ]);

    public override string Name => "deepseek2";

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { EqualHeads = false, WholeHeads = false };

    /// <summary>Layers that predict further tokens come after the model's own and are not part of what it computes.</summary>
    public override bool IsNoWeight(string name, ConfigReader config)
    {
        const string prefix = "model.layers.";
        if (!name.StartsWith(prefix, StringComparison.Ordinal)) return false;
        ReadOnlySpan<char> rest = name.AsSpan(prefix.Length);
        return rest.IndexOf('.') is > 0 and var dot && int.TryParse(rest[..dot], out int layer) && layer >= DecoderConfig.LayerCount(config);
    }

    /// <summary>Reads what both versions have.</summary>
    protected ArchitectureReading Read(ConfigReader config, string modelName, (int Experts, int Used, int QueryRank, int Dense, float Scale) defaults)
    {
        int Length(string key, int byDefault) => config.OptionalInt(key, 1, DecoderConfig.MaxExtent) ?? byDefault;
        foreach ((string key, bool wanted) in ((string, bool)[])[("attention_bias", false), ("mlp_bias", false), ("rope_interleave", true)])
        {
            if ((config.OptionalBool(key) ?? wanted) != wanted) throw new UnsupportedModelException($"config.json: {key}: {!wanted} is not what llama.cpp's deepseek2 graph computes, {wanted} is");
        }
        int layers = DecoderConfig.LayerCount(config), vocabulary = config.Int("vocab_size", 1, DecoderConfig.MaxExtent);
        if ((config.OptionalInt("moe_layer_freq") ?? 1) != 1) throw new UnsupportedModelException("config.json: moe_layer_freq: llama.cpp's deepseek2 graph has experts in every layer after the dense ones");
        int rank = Length("kv_lora_rank", 512), turned = Length("qk_rope_head_dim", 64), plain = Length("qk_nope_head_dim", 128), value = Length("v_head_dim", 128);
        int queryRank = config.Mentions("q_lora_rank") ? config.OptionalInt("q_lora_rank", 1, DecoderConfig.MaxExtent) ?? 0 : defaults.QueryRank;
        if (queryRank > 0 && IsLite(layers, vocabulary))
            throw new UnsupportedModelException($"config.json: q_lora_rank: is {queryRank} with {layers} layers and a vocabulary of {vocabulary}, and llama.cpp's deepseek2 graph takes such a model for one without");
        int expert = Length("moe_intermediate_size", 2048), shared = config.OptionalInt("n_shared_experts", 0, 1024) ?? 1;
        int dense = config.OptionalInt("first_k_dense_replace", 0, DecoderConfig.MaxLayers) ?? defaults.Dense;
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Context = 4096,
            HeadLength = turned,
            Experts = ExpertTensors.Count(config, ("n_routed_experts", defaults.Experts), ("num_experts_per_tok", defaults.Used)),
            Heads = layer => layer with { KvHeadCount = 1, KeyLength = rank + turned, ValueLength = rank, RotaryLength = turned, Latent = new(queryRank, rank, plain, value) },
            Layer = (layer, index) => index < dense ? layer : layer with { ExpertLength = expert, SharedExpertLength = shared * expert },
        }.Read();
        if (shared == 0) throw new UnsupportedModelException("config.json: n_shared_experts: is 0, and llama.cpp's deepseek2 graph has an expert for every token");
        if (RotaryScaling.LatentScale(config, turned).LogMultiplier is { } multiplier)
        {
            reading.Metadata.Remove($"{Name}.rope.scaling.attn_factor");
            reading.With("rope.scaling.yarn_log_multiplier", multiplier);
        }
        return reading
            .With("attention.q_lora_rank", (uint)queryRank).With("attention.kv_lora_rank", (uint)rank)
            .With("attention.key_length_mla", (uint)(plain + turned)).With("attention.value_length_mla", (uint)value)
            .With("leading_dense_block_count", (uint)dense)
            .With("expert_feed_forward_length", (uint)expert).With("expert_shared_count", (uint)shared)
            .With("expert_weights_scale", config.OptionalFloat("routed_scaling_factor", 1e-6f, 1e6f) ?? defaults.Scale);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys)
    {
        int Key(string name) => keys.Int($"{Name}.{name}", 0, DecoderConfig.MaxExtent) ?? 0;
        int plain = Key("attention.key_length_mla") - layer.RotaryLength;
        if (plain < 1) throw keys.Error($"{Name}.attention.key_length_mla", $"is {plain + layer.RotaryLength}, and must be more than rope.dimension_count, {layer.RotaryLength}: files from before latent attention are not read");
        if (layer.KvHeadCount != 1) throw keys.Error($"{Name}.attention.head_count_kv", $"is {layer.KvHeadCount}, and latent attention has 1");
        int rank = Key("attention.kv_lora_rank");
        if (layer.KeyLength != rank + layer.RotaryLength) throw keys.Error($"{Name}.attention.key_length", $"is {layer.KeyLength}, and kv_lora_rank and rope.dimension_count make {rank + layer.RotaryLength}");
        layer = layer with { Latent = new(Key("attention.q_lora_rank"), rank, plain, Key("attention.value_length_mla")) };
        int expert = Key("expert_feed_forward_length");
        return index < Key("leading_dense_block_count") ? layer : layer with { ExpertLength = expert, SharedExpertLength = expert * Key("expert_shared_count") };
    }

    // deepseek2.cpp tells models without compressed queries by these numbers.
    private static bool IsLite(int layers, int vocabulary) => layers is 26 or 27 || (layers == 48 && vocabulary == 128256);

    private static bool IsThird(ConfigReader config) => config.Strings("architectures").First() == "DeepseekV3ForCausalLM";

    private static float QueryScale(Place place) => RotaryScaling.LatentScale(place.Config, place.Layer.RotaryLength).Queries;

    private static bool CompressesQueries(LayerShape layer) => layer.Latent!.QueryRank > 0;

    private static long Query(LayerShape layer) => (long)layer.HeadCount * (layer.Latent!.PlainLength + layer.RotaryLength);

    // Each head's rows that expand keys, and then those that expand values.
    private static WeightRecipe KeyValue(Func<LayerShape, long> first) => ((WeightRecipe)"model.layers.{}.self_attn.kv_b_proj.weight")
        .Rows(place => RowOrders.From(first(place.Layer)), place => place.Layer.Latent!.PlainLength + place.Layer.Latent.HeadValueLength);
}
