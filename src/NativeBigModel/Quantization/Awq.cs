using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>AWQ as AutoAWQ's "gemm" version stores it: 4-bit integers packed along the outputs, eight to a word in an order of their own, scales and zero points likewise.</summary>
internal sealed class Awq(long groupSize) : QuantizedFormat($"AWQ, 4 bits, {Gptq.GroupText(groupSize)}", KeptTypes.ForIntegers(4, Gptq.WholeBlocks(groupSize)),
    (".qweight", ".weight"), (".qzeros", ".weight"), (".scales", ".weight"))
{
    private const int CodesPerWord = 8;

    // AutoAWQ, utils/packing_utils.py, AWQ_REVERSE_ORDER: where each output of a word lies in it.
    private static readonly int[] s_shifts = [0, 16, 4, 20, 8, 24, 12, 28];

    public static Awq Read(ConfigReader config)
    {
        int bits = config.OptionalInt("bits") ?? config.Int("w_bit");
        if (bits != 4) throw new UnsupportedModelException($"config.json: quantization_config.bits: AWQ of {bits} bits is not read; 4 is");
        if (config.OptionalString("version") is { } version && !version.Equals("gemm", StringComparison.OrdinalIgnoreCase))
            throw new UnsupportedModelException($"config.json: quantization_config.version: AWQ's layout '{version}' is not read yet; gemm is");
        return new(Gptq.GroupSize(config));
    }

    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        string module = weight.EndsWith(".weight", StringComparison.Ordinal) ? weight[..^".weight".Length] : weight;
        if (parts.Find($"{module}.qweight") is null) return null;
        StoredTensor codes = parts.Require($"{module}.qweight", weight, "I32");
        (long inputs, long words) = WeightParts.Matrix(codes);
        long outputs = words * CodesPerWord, groups = Gptq.Groups(inputs, groupSize);
        StoredTensor scales = WeightParts.Shaped(parts.RequireFloats($"{module}.scales", weight), groups, outputs);
        StoredTensor zeros = WeightParts.Shaped(parts.Require($"{module}.qzeros", weight, "I32"), groups, words);
        var layout = new GroupedLayout(4, s_shifts, PackedAlongInputs: false, ZeroOffset: 0, groupSize == 0 ? inputs : groupSize, AnyOrder: false);
        return new([outputs, inputs], new GroupedIntegersSource(codes, zeros, scales, null, layout, outputs, inputs));
    }
}
