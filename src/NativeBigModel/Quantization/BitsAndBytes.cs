using System.Collections.Immutable;
using System.Text.Json;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Quantization;

/// <summary>
/// bitsandbytes (functional.py, class QuantState; nn/modules.py): 4-bit codes of an NF4 or FP4 table in blocks that share a scale, the scales themselves in 8 bits with
/// "double quantisation"; or 8-bit integers with a scale for each row (SCB).
/// </summary>
internal sealed class BitsAndBytes(string name, TensorType kept) : QuantizedFormat(name, kept,
    (".weight.absmax", ".weight"), (".weight.quant_map", ".weight"), (".weight.nested_absmax", ".weight"), (".weight.nested_quant_map", ".weight"),
    (".weight.quant_state.bitsandbytes__nf4", ".weight"), (".weight.quant_state.bitsandbytes__fp4", ".weight"), (".SCB", ".weight"), (".weight_format", ".weight"))
{
    private const int MapLength = 16, NestedMapLength = 256;
    private const float LargestInt8 = 127;

    public static BitsAndBytes Read(ConfigReader config) => config.OptionalBool("load_in_8bit") ?? false
        ? new("bitsandbytes int8", KeptTypes.EightBits)
        : new($"bitsandbytes {(config.OptionalString("bnb_4bit_quant_type") is "nf4" ? "NF4" : "FP4")}", KeptTypes.FourBitCodes);

    public override StoredWeight? Find(WeightParts parts, string weight)
    {
        if (parts.Find(weight) is not { } codes) return null;
        if ((parts.Find($"{weight}.quant_state.bitsandbytes__nf4") ?? parts.Find($"{weight}.quant_state.bitsandbytes__fp4")) is { } state) return FourBits(parts, weight, codes, state);
        if (codes.DataType == "U8") throw WeightParts.Error(codes, "holds bytes, and has no quant_state that says what they are");
        return codes.DataType == "I8" ? EightBits(parts, weight, codes) : null;
    }

    private static StoredWeight EightBits(WeightParts parts, string weight, StoredTensor codes)
    {
        (long rows, long columns) = WeightParts.Matrix(codes);
        string module = weight[..^".weight".Length];
        StoredTensor scales = WeightParts.Counted(parts.Require($"{module}.SCB", weight, "F32"), rows);
        if (parts.Find($"{weight}_format") is { } format && WeightParts.ReadSmall(format) is not [0])
            throw new UnsupportedModelException($"{Path.GetFileName(format.File)}: {format.Name}: a layout other than rows is not read");
        return new(codes.Shape, new ScaledBytesSource(codes, ByteValues.Table("I8")!, scales, (1, columns), LargestInt8));
    }

    private static StoredWeight FourBits(WeightParts parts, string weight, StoredTensor codes, StoredTensor stateTensor)
    {
        using JsonDocument document = JsonFile.Parse($"{Path.GetFileName(stateTensor.File)}, {stateTensor.Name}", WeightParts.ReadSmall(stateTensor));
        var state = new ConfigReader($"{Path.GetFileName(stateTensor.File)}, {stateTensor.Name}", "", document.RootElement);
        ImmutableArray<long> shape = [.. state.Integers("shape", 1, int.MaxValue)];
        if (shape.Length != 2) throw state.Error("shape", $"has {shape.Length} extents and needs 2");
        long elements = shape[0] * shape[1], block = state.Int("blocksize");
        // The bytes may be declared as elements of another type (bnb_4bit_quant_storage).
        if (codes.Bytes != (elements + 1) / 2) throw WeightParts.Error(codes, $"has {codes.Bytes} bytes, and {elements} codes of 4 bits take {(elements + 1) / 2}");
        long blocks = (elements + block - 1) / block;
        StoredTensor map = WeightParts.Counted(parts.Require($"{weight}.quant_map", weight, "F32"), MapLength);
        StoredTensor scales = WeightParts.Counted(parts.Require($"{weight}.absmax", weight, "F32", "U8"), blocks);
        return new(shape, new BlockCodesSource(codes, map, block, scales, scales.DataType == "U8" ? Nested(parts, weight, state, blocks) : null, shape[0], shape[1]));
    }

    private static NestedScales Nested(WeightParts parts, string weight, ConfigReader state, long blocks)
    {
        int block = state.Int("nested_blocksize");
        return new(WeightParts.Counted(parts.Require($"{weight}.nested_quant_map", weight, "F32"), NestedMapLength),
            WeightParts.Counted(parts.Require($"{weight}.nested_absmax", weight, "F32"), (blocks + block - 1) / block), block, state.Float("nested_offset", -float.MaxValue, float.MaxValue));
    }
}

/// <summary>How scales are stored in 8 bits: a table's number, times a scale of <paramref name="Block"/> of them, plus an offset.</summary>
internal sealed record NestedScales(StoredTensor Map, StoredTensor Scales, int Block, float Offset);

/// <summary>Rows of 4-bit codes, the upper half of a byte first, in blocks that run on from row to row.</summary>
internal sealed class BlockCodesSource(StoredTensor codes, StoredTensor map, long block, StoredTensor scales, NestedScales? nested, long rows, long columns)
    : QuantizedSource([codes, map, scales, .. nested is null ? ReadOnlySpan<StoredTensor>.Empty : [nested.Map, nested.Scales]], rows, columns, KeptTypes.FourBitCodes)
{
    protected override void Dequantize(CheckpointFiles files, long firstRow, int rows, Span<float> values)
    {
        long first = firstRow * Columns, firstBlock = first / block;
        float[] numbers = new float[16], scale = new float[(first + values.Length - 1) / block - firstBlock + 1];
        WeightParts.ReadFloats(files, map, 0, numbers);
        ReadScales(files, firstBlock, scale);
        byte[] bytes = new byte[(first + values.Length + 1) / 2 - first / 2];
        files.Read(codes.File, codes.Offset + first / 2, bytes);
        for (int i = 0; i < values.Length; i++)
        {
            long element = first + i;
            int pair = bytes[element / 2 - first / 2];
            values[i] = numbers[element % 2 == 0 ? pair >> 4 : pair & 15] * scale[element / block - firstBlock];
        }
    }

    private void ReadScales(CheckpointFiles files, long first, Span<float> values)
    {
        if (nested is null)
        {
            WeightParts.ReadFloats(files, scales, first, values);
            return;
        }
        long firstOuter = first / nested.Block;
        float[] numbers = new float[256], outer = new float[(first + values.Length - 1) / nested.Block - firstOuter + 1];
        WeightParts.ReadFloats(files, nested.Map, 0, numbers);
        WeightParts.ReadFloats(files, nested.Scales, firstOuter, outer);
        byte[] bytes = new byte[values.Length];
        files.Read(scales.File, scales.Offset + first, bytes);
        for (int i = 0; i < values.Length; i++) values[i] = numbers[bytes[i]] * outer[(first + i) / nested.Block - firstOuter] + nested.Offset;
    }
}
