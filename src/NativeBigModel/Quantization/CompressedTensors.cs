using NativeBigModel.Checkpoints;

namespace NativeBigModel.Quantization;

/// <summary>compressed-tensors (vllm-project/compressed-tensors, config/base.py): a family of formats under one method; 8-bit floats and integers, and packed integers.</summary>
internal static class CompressedTensors
{
    public static QuantizedFormat Read(ConfigReader config)
    {
        ConfigReader groups = config.OptionalObject("config_groups") ?? throw config.Error("config_groups", "is missing");
        List<string> names = [.. groups.Entries().Select(entry => entry.Key)];
        if (names.Count != 1) throw new UnsupportedModelException($"config.json: quantization_config.config_groups: {names.Count} groups are not read yet; one is");
        if (config.OptionalObject("sparsity_config") is { } sparsity && sparsity.OptionalString("format") is not (null or "dense"))
            throw new UnsupportedModelException($"config.json: quantization_config.sparsity_config: '{sparsity.OptionalString("format")}' is not read yet");
        ConfigReader group = groups.OptionalObject(names[0])!, weights = group.OptionalObject("weights") ?? throw group.Error("weights", "is missing");
        string format = config.String("format"), type = weights.OptionalString("type") ?? "int";
        int bits = weights.Int("num_bits");
        return (format, type, bits) switch
        {
            ("float-quantized" or "naive-quantized", "float", 8) => new ScaledBytes("compressed-tensors FP8", Block(weights)),
            ("int-quantized" or "naive-quantized", "int", 8) => new ScaledBytes("compressed-tensors int8", Block(weights)),
            ("pack-quantized", "int", 4 or 8) => new PackedIntegers(bits, weights.OptionalString("strategy") is "group" ? weights.Int("group_size") : 0),
            _ => throw new UnsupportedModelException($"config.json: quantization_config: compressed-tensors '{format}' of {bits}-bit {type} is not read yet; 8-bit float-quantized and int-quantized, and pack-quantized of 4 and 8 bits are"),
        };
    }

    private static (long, long)? Block(ConfigReader weights)
    {
        switch (weights.OptionalString("strategy"))
        {
            case null or "tensor" or "channel":
                return null;
            case "block":
                long[] block = [.. weights.Integers("block_structure", 1, int.MaxValue)];
                return block.Length == 2 ? (block[0], block[1]) : throw weights.Error("block_structure", $"has {block.Length} numbers and needs 2");
            case { } strategy:
                throw new UnsupportedModelException($"config.json: quantization_config: compressed-tensors strategy '{strategy}' for 8-bit weights is not read yet; tensor, channel and block are");
        }
    }
}
