using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>gpt-oss: attention that may attend to nothing (sinks), every second layer with a sliding window, experts with biases.</summary>
internal sealed class GptOss : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        new("token_embd.weight", "model.embed_tokens.weight", DecoderTensors.Vocabulary),
        new("output_norm.weight", "model.norm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.AlwaysOutput("lm_head.weight", "model.embed_tokens.weight", DecoderTensors.Untied),
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(),
        new("blk.{}.attn_output.bias", "model.layers.{}.self_attn.o_proj.bias", DecoderTensors.Embedding),
        new("blk.{}.attn_sinks.weight", "model.layers.{}.self_attn.sinks", (_, layer) => [layer.HeadCount]),
        new("blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight", DecoderTensors.Embedding),
        new("blk.{}.ffn_gate_inp.weight", "model.layers.{}.mlp.router.weight", ExpertTensors.Router),
        new("blk.{}.ffn_gate_inp.bias", "model.layers.{}.mlp.router.bias", (model, _) => [model.ExpertCount]),
        new("blk.{}.ffn_gate_exps.weight", GateUp(0), ExpertTensors.In),
        new("blk.{}.ffn_gate_exps.bias", GateUpBias(0), (model, layer) => [layer.ExpertLength, model.ExpertCount]),
        new("blk.{}.ffn_up_exps.weight", GateUp(1), ExpertTensors.In),
        new("blk.{}.ffn_up_exps.bias", GateUpBias(1), (model, layer) => [layer.ExpertLength, model.ExpertCount]),
        new("blk.{}.ffn_down_exps.weight", ((WeightRecipe)"model.layers.{}.mlp.experts.down_proj").Transposed(), ExpertTensors.Out),
        new("blk.{}.ffn_down_exps.bias", "model.layers.{}.mlp.experts.down_proj_bias", (model, _) => [model.EmbeddingLength, model.ExpertCount]),
    ]);

    public override string Name => "gpt-oss";

    public override IReadOnlyList<string> HuggingFaceClasses => ["GptOssForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override GraphTraits Graph => new() { Windows = true, WindowPeriod = 2 };

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        ArchitectureReading reading = new DecoderConfig(config, Name, modelName)
        {
            Epsilon = ("rms_norm_eps", 1e-5f),
            HeadLength = 64,
            KvHeads = 8,
            Context = 131072,
            RotaryBase = 150000,
            Windows = (config.OptionalInt("sliding_window") ?? 128, DecoderConfig.WindowedLayers(config, period: 2)),
            Experts = ExpertTensors.Count(config, ("num_local_experts", 128), ("num_experts_per_tok", 4)),
            Layer = (layer, _) => layer with { ExpertLength = layer.FeedForwardLength },
        }.Read();
        return reading.With("expert_feed_forward_length", (uint)reading.Shape.Layers[0].ExpertLength);
    }

    public override LayerShape Complete(LayerShape layer, int index, GgufKeys keys) => layer with { ExpertLength = ExpertTensors.Length(keys, Name, layer) };

    // Gate and up projection alternate, column by column of the stored matrix.
    private static WeightRecipe GateUp(int which) => ((WeightRecipe)"model.layers.{}.mlp.experts.gate_up_proj").Transposed()
        .Rows(_ => row => 2 * row + which, place => 2L * place.Layer.ExpertLength);

    private static WeightRecipe GateUpBias(int which) => ((WeightRecipe)"model.layers.{}.mlp.experts.gate_up_proj_bias")
        .Columns(_ => column => 2 * column + which, place => 2L * place.Layer.ExpertLength);
}
