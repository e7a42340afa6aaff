using System.Text.Json.Nodes;
using NativeBigModel.Tests.Quantization;

namespace NativeBigModel.Tests.Hostile;

/// <summary>Quantised weights whose parts contradict each other: one line with both numbers, whether it shows on opening or on reading.</summary>
public class HostileQuantizationTests
{
    public static TheoryData<string> Rows() => [.. s_rows.Keys];

    [Theory]
    [MemberData(nameof(Rows))]
    public void Parts_that_do_not_fit_are_refused(string row)
    {
        (Func<QuantizedSamples> make, Action<QuantizedSamples> spoil, string[] parts) = s_rows[row];
        using var folder = new TempFolder();
        QuantizedSamples sample = make();
        sample.Read(folder);
        spoil(sample);
        Exception? error = Record.Exception(() => sample.Read(folder));
        Assert.True(error is CheckpointException or UnsupportedModelException, $"{error?.ToString() ?? "accepted"}");
        Refusal.Line(error!.Message);
        foreach (string part in parts) Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    private static readonly Dictionary<string, (Func<QuantizedSamples> Make, Action<QuantizedSamples> Spoil, string[] Parts)> s_rows = new()
    {
        ["GPTQ: a group that is not there"] = (() => QuantizedSamples.Gptq(true), sample => sample.Set("m.g_idx", 5, 2), ["m.g_idx", "input 5", "group 2", "there are 2"]),
        ["GPTQ: a group below 0"] = (() => QuantizedSamples.Gptq(true), sample => sample.Set("m.g_idx", 0, -1), ["m.g_idx", "group -1"]),
        ["GPTQ: another order than desc_act says"] = (() => QuantizedSamples.Gptq(), sample => sample.Set("m.g_idx", 40, 0), ["m.g_idx", "input 40", "group 0", "belongs to 1"]),
        ["GPTQ: fewer groups than inputs need"] = (() => QuantizedSamples.Gptq(), sample => sample.Reshape("m.scales", 1, 32), ["m.scales", "[1, 32]", "[2, 32]"]),
        ["GPTQ: zero points of another width"] = (() => QuantizedSamples.Gptq(), sample => sample.Reshape("m.qzeros", 2, 8), ["m.qzeros", "[2, 8]", "[2, 4]"]),
        ["GPTQ: an order of another length"] = (() => QuantizedSamples.Gptq(), sample => sample.Reshape("m.g_idx", 63), ["m.g_idx", "[63]", "[64]"]),
        ["GPTQ: no scales"] = (() => QuantizedSamples.Gptq(), sample => sample.Parts.Remove("m.scales"), ["m.scales", "is missing", "m.weight"]),
        ["GPTQ: no zero points"] = (() => QuantizedSamples.Gptq(), sample => sample.Parts.Remove("m.qzeros"), ["m.qzeros", "is missing"]),
        ["GPTQ: codes that are floats"] = (() => QuantizedSamples.Gptq(), sample => sample.Parts["m.qweight"] = ("F32", [8, 32], sample.Parts["m.qweight"].Data), ["m.qweight", "F32", "I32"]),
        ["GPTQ: no codes"] = (() => QuantizedSamples.Gptq(), sample => sample.Reshape("m.qweight", 0, 32), ["m.qweight", "[0, 32]"]),
        ["GPTQ: bits of another file"] = (() => QuantizedSamples.Gptq(), sample => sample.Quantization["bits"] = 8, ["[2, 32]", "[1, 32]"]),
        ["AWQ: scales of another width"] = (() => QuantizedSamples.Awq(), sample => sample.Reshape("m.scales", 2, 16), ["m.scales", "[2, 16]", "[2, 32]"]),
        ["AWQ: no zero points"] = (() => QuantizedSamples.Awq(), sample => sample.Parts.Remove("m.qzeros"), ["m.qzeros", "is missing"]),
        ["NF4: nested scales of another length"] = (() => QuantizedSamples.Nf4(), sample => sample.Reshape("m.weight.nested_absmax", 2), ["nested_absmax", "[2]", "1 elements"]),
        ["NF4: scales of another length"] = (() => QuantizedSamples.Nf4(), sample => sample.Reshape("m.weight.absmax", 31), ["absmax", "[31]", "32 elements"]),
        ["NF4: a map of 15"] = (() => QuantizedSamples.Nf4(), sample => sample.Reshape("m.weight.quant_map", 15), ["quant_map", "[15]", "16 elements"]),
        ["NF4: a nested map of 255"] = (() => QuantizedSamples.Nf4(), sample => sample.Reshape("m.weight.nested_quant_map", 255), ["nested_quant_map", "[255]", "256 elements"]),
        ["NF4: no nested map"] = (() => QuantizedSamples.Nf4(), sample => sample.Parts.Remove("m.weight.nested_quant_map"), ["nested_quant_map", "is missing"]),
        ["NF4: a shape that the codes do not fill"] = (() => QuantizedSamples.Nf4(), sample => sample.State("""{"blocksize": 64, "shape": [32, 65], "nested_blocksize": 256, "nested_offset": 0}"""), ["1024 bytes", "take 1040"]),
        ["NF4: an enormous shape"] = (() => QuantizedSamples.Nf4(), sample => sample.State("""{"blocksize": 64, "shape": [2147483647, 2147483647], "nested_blocksize": 256, "nested_offset": 0}"""), ["1024 bytes"]),
        ["NF4: blocks of nothing"] = (() => QuantizedSamples.Nf4(), sample => sample.State("""{"blocksize": 0, "shape": [32, 64], "nested_blocksize": 256, "nested_offset": 0}"""), ["blocksize", "is 0"]),
        ["NF4: nested blocks of nothing"] = (() => QuantizedSamples.Nf4(), sample => sample.State("""{"blocksize": 64, "shape": [32, 64], "nested_blocksize": 0, "nested_offset": 0}"""), ["nested_blocksize", "is 0"]),
        ["NF4: an offset that is no number"] = (() => QuantizedSamples.Nf4(), sample => sample.State("""{"blocksize": 64, "shape": [32, 64], "nested_blocksize": 256, "nested_offset": "x"}"""), ["nested_offset"]),
        ["NF4: a state that is not JSON"] = (() => QuantizedSamples.Nf4(), sample => sample.State("quant"), ["quant_state", "JSON"]),
        ["NF4: no state"] = (() => QuantizedSamples.Nf4(), sample => sample.Parts.Remove("m.weight.quant_state.bitsandbytes__nf4"), ["m.weight", "quant_state"]),
        ["int8: scales of another length"] = (() => QuantizedSamples.Int8(), sample => sample.Reshape("m.SCB", 64), ["m.SCB", "[64]", "32 elements"]),
        ["int8: no scales"] = (() => QuantizedSamples.Int8(), sample => sample.Parts.Remove("m.SCB"), ["m.SCB", "is missing"]),
        ["int8: the layout of one GPU"] = (() => QuantizedSamples.Int8(), sample => sample.Parts["m.weight_format"] = ("U8", [], [2]), ["weight_format", "layout"]),
        ["FP8: scales of another shape"] = (() => QuantizedSamples.Fp8(), sample => sample.Reshape("m.weight_scale_inv", 2, 3), ["weight_scale_inv", "[2, 3]", "[2, 2]"]),
        ["FP8: one scale for several blocks"] = (() => QuantizedSamples.Fp8(), sample => sample.Reshape("m.weight_scale_inv", 1), ["weight_scale_inv", "[1]", "[2, 2]"]),
        ["FP8: no scales"] = (() => QuantizedSamples.Fp8(), sample => sample.Parts.Remove("m.weight_scale_inv"), ["m.weight_scale", "is missing"]),
        ["FP8: three dimensions"] = (() => QuantizedSamples.Fp8(), sample => sample.Reshape("m.weight", 2, 16, 64), ["m.weight", "[2, 16, 64]", "matrix"]),
        ["FP8: a block of one number"] = (() => QuantizedSamples.Fp8(), sample => sample.Quantization["weight_block_size"] = new JsonArray(128), ["weight_block_size", "1 numbers"]),
        ["MXFP4: scales of another shape"] = (() => QuantizedSamples.MxFp4(), sample => sample.Reshape("m.weight_scales", 2, 16, 3), ["[2, 16, 3]", "[2, 16, 2]"]),
        ["MXFP4: blocks of 15 bytes"] = (() => QuantizedSamples.MxFp4(), sample => sample.Reshape("m.weight_blocks", 2, 16, 2, 15), ["[2, 16, 2, 15]", "16"]),
        ["MXFP4: an exponent that is not a number"] = (() => QuantizedSamples.MxFp4(), sample => sample.Parts["m.weight_scales"].Data[9] = 255, ["element 9", "255", "254"]),
        ["packed: a shape that the words do not fill"] = (() => QuantizedSamples.Packed(false), sample => sample.Parts["m.weight_shape"].Data[8] = 72, ["weight_packed", "[32, 8]", "[32, 9]"]),
        ["packed: a shape below 0"] = (() => QuantizedSamples.Packed(false), sample => sample.Parts["m.weight_shape"].Data[15] = 0x80, ["weight_shape", "32 by -"]),
        ["packed: zero points of another shape"] = (() => QuantizedSamples.Packed(true), sample => sample.Reshape("m.weight_zero_point", 4, 1), ["zero_point", "[4, 1]", "[4, 2]"]),
    };
}
