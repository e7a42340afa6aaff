using NativeBigModel.Checkpoints;

namespace NativeBigModel.Architectures;

/// <summary>Seed-OSS: Llama with biases on query, key and value.</summary>
internal sealed class SeedOss : Architecture
{
    private static readonly TensorMap s_map = new(
    [
        .. DecoderTensors.Ends,
        .. DecoderTensors.Attention(),
        .. DecoderTensors.QkvBiases(when: config => config.OptionalBool("attention_bias") ?? true),
        new("blk.{}.post_attention_norm.weight", "model.layers.{}.post_attention_layernorm.weight", DecoderTensors.Embedding),
        .. DecoderTensors.GatedProjections,
    ]);

    public override string Name => "seed_oss";

    public override IReadOnlyList<string> HuggingFaceClasses => ["SeedOssForCausalLM"];

    public override TensorMap Tensors => s_map;

    public override ArchitectureReading Read(ConfigReader config, string modelName)
    {
        foreach (string key in (string[])["attention_out_bias", "mlp_bias"])
        {
            if (config.OptionalBool(key) ?? false) throw new UnsupportedModelException($"config.json: {key}: llama.cpp's seed_oss graph has no such bias");
        }
        return new DecoderConfig(config, Name, modelName) { HeadLength = 128, KvHeads = 8, Context = 524288 }.Read();
    }
}
