using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>
/// GPTQ as AutoGPTQ and GPTQModel store it: integers packed along the inputs, with a scale and a zero point for each group of inputs and each output. g_idx names each
/// input's group where the groups were formed in the order of activations. The first format stores zero points less one, gptq_v2 as they are.
/// </summary>
internal sealed class Gptq(int bits, long groupSize, bool anyOrder, int zeroOffset)
    : QuantizedFormat($"GPTQ, {bits} bits, {GroupText(groupSize)}{(anyOrder ? " in the order of activations" : "")}", KeptTypes.ForIntegers(bits, !anyOrder && WholeBlocks(groupSize)),
        (".qweight", ".weight"), (".qzeros", ".weight"), (".scales", ".weight"), (".g_idx", ".weight"))
{
    private const int WordBits = 32;

    public static Gptq Read(ConfigReader config)
    {
        int bits = config.Int("bits");
        if (bits is not (4 or 8)) throw new UnsupportedModelException($"config.json: quantization_config.bits: GPTQ of {bits} bits is not read yet; 4 and 8 are");
        if (config.OptionalObject("dynamic") is { } dynamic && dynamic.Entries().Any())
            throw new UnsupportedModelException("config.json: quantization_config.dynamic: GPTQ with settings of their own for some modules is not read yet");
        int zeroOffset = config.OptionalString("checkpoint_format") switch
        {
            null or "gptq" => 1,
            "gptq_v2" => 0,
            { } format => throw new UnsupportedModelException($"config.json: quantization_config.checkpoint_format: '{format}' is not read yet; gptq and gptq_v2 are"),
        };
        return new(bits, GroupSize(config), GroupSize(config) != 0 && (config.OptionalBool("desc_act") ?? false), zeroOffset);
    }

    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        string module = weight.EndsWith(".weight", StringComparison.Ordinal) ? weight[..^".weight".Length] : weight;
        if (parts.Find($"{module}.qweight") is null) return null;
        StoredTensor codes = parts.Require($"{module}.qweight", weight, "I32");
        (long words, long outputs) = WeightParts.Matrix(codes);
        long inputs = words * (WordBits / bits), groups = Groups(inputs, groupSize);
        StoredTensor scales = WeightParts.Shaped(parts.RequireFloats($"{module}.scales", weight), groups, outputs);
        if (outputs * bits % WordBits != 0) throw WeightParts.Error(codes, $"has {outputs} outputs, and {bits}-bit zero points are packed {WordBits / bits} to a word");
        StoredTensor zeros = WeightParts.Shaped(parts.Require($"{module}.qzeros", weight, "I32"), groups, outputs * bits / WordBits);
        StoredTensor? order = parts.Find($"{module}.g_idx") is null ? null : WeightParts.Shaped(parts.Require($"{module}.g_idx", weight, "I32"), inputs);
        var layout = new GroupedLayout(bits, PackedWords.InOrder(bits), PackedAlongInputs: true, zeroOffset, groupSize == 0 ? inputs : groupSize, anyOrder && order is not null);
        return new([outputs, inputs], new GroupedIntegersSource(codes, zeros, scales, order, layout, outputs, inputs));
    }

    // AutoGPTQ gave every quantised module a bias, of zeros where the model has none.
    public override bool SaysNothing(WeightParts parts, StoredTensor tensor) =>
        tensor.Name.EndsWith(".bias", StringComparison.Ordinal) && tensor.Bytes <= WeightParts.MaxSmallBytes && parts.Find(tensor.Name[..^"bias".Length] + "qweight") is not null
        && !WeightParts.ReadSmall(tensor).AsSpan().ContainsAnyExcept((byte)0);

    /// <summary>Inputs that share a scale; 0 stands for all of them, which the formats write as -1.</summary>
    public static long GroupSize(ConfigReader config) => config.Int("group_size", -1) is > 0 and var size ? size : 0;

    /// <summary>Whether groups that follow each other are runs of whole blocks of ggml's.</summary>
    public static bool WholeBlocks(long groupSize) => groupSize % TensorType.Q4_1.BlockSize() == 0;

    public static string GroupText(long groupSize) => groupSize == 0 ? "one group a row" : $"groups of {groupSize}";

    public static long Groups(long inputs, long groupSize) => groupSize == 0 ? 1 : (inputs + groupSize - 1) / groupSize;
}
