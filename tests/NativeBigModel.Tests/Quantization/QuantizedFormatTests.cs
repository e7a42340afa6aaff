namespace NativeBigModel.Tests.Quantization;

/// <summary>Each stored format by its own arithmetic, without golden data; and ggml's blocks against ggml's own reading of them.</summary>
[Collection(EngineGroup.Name)]
public class QuantizedFormatTests
{
    private const int Outputs = QuantizedSamples.Outputs, Inputs = QuantizedSamples.Inputs;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void GPTQ_is_scale_times_code_less_zero_of_each_inputs_group(bool anyOrder)
    {
        using var folder = new TempFolder();
        var sample = QuantizedSamples.Gptq(anyOrder);
        float[] weight = sample.Read(folder);
        Each(weight, (output, input) =>
        {
            int group = anyOrder ? input % 2 : input / 32;
            int code = Code(sample, "m.qweight", (input / 8 * Outputs) + output, input % 8), zero = Code(sample, "m.qzeros", (group * 4) + (output / 8), output % 8) + 1;
            return Scale(sample, (group * Outputs) + output) * (code - zero);
        });
        sample.Quantization["checkpoint_format"] = "gptq_v2";
        float[] second = sample.Read(folder);
        Each(second, (output, input) => weight[(output * Inputs) + input] + Scale(sample, ((anyOrder ? input % 2 : input / 32) * Outputs) + output), 1e-6f);
    }

    [Fact]
    public void AWQ_takes_outputs_from_words_in_its_own_order()
    {
        using var folder = new TempFolder();
        var sample = QuantizedSamples.Awq();
        int[] order = [0, 4, 1, 5, 2, 6, 3, 7];
        Each(sample.Read(folder), (output, input) =>
        {
            int code = Code(sample, "m.qweight", (input * 4) + (output / 8), order[output % 8]), zero = Code(sample, "m.qzeros", (input / 32 * 4) + (output / 8), order[output % 8]);
            return Scale(sample, (input / 32 * Outputs) + output) * (code - zero);
        });
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Packed_integers_have_half_their_range_or_a_zero_point_below(bool zeros)
    {
        using var folder = new TempFolder();
        var sample = QuantizedSamples.Packed(zeros);
        Each(sample.Read(folder), (output, input) =>
        {
            int code = Code(sample, "m.weight_packed", (output * 8) + (input / 8), input % 8), zero = zeros ? Code(sample, "m.weight_zero_point", (output / 8 * 2) + (input / 32), output % 8) : 8;
            float scale = BitConverter.Int32BitsToSingle(BitConverter.ToUInt16(sample.Parts["m.weight_scale"].Data, ((output * 2) + (input / 32)) * 2) << 16);
            return scale * (code - zero);
        });
    }

    [Fact]
    public void The_bytes_of_4_bit_codes_may_be_declared_as_other_elements()
    {
        using var folder = new TempFolder();
        var sample = QuantizedSamples.Nf4();
        float[] expected = sample.Read(folder);
        sample.Parts["m.weight"] = ("BF16", [512, 1], sample.Parts["m.weight"].Data);
        Assert.Equal(expected, sample.Read(folder));
    }

    [Fact]
    public void All_parts_of_a_weight_are_one_weight()
    {
        using var folder = new TempFolder();
        foreach (QuantizedSamples sample in (QuantizedSamples[])
            [QuantizedSamples.Gptq(), QuantizedSamples.Awq(), QuantizedSamples.Nf4(), QuantizedSamples.Int8(), QuantizedSamples.Fp8(), QuantizedSamples.MxFp4(), QuantizedSamples.Packed(true)])
        {
            sample.Write(folder);
            Assert.Equal([QuantizedSamples.Weight], sample.Open(folder).All);
        }
    }

    [Fact]
    public void A_GPTQ_bias_of_zeros_is_no_weight_and_another_is()
    {
        using var folder = new TempFolder();
        QuantizedSamples sample = QuantizedSamples.Gptq();
        sample.Parts["m.bias"] = ("F16", [32], new byte[64]);
        sample.Write(folder);
        Assert.Equal([QuantizedSamples.Weight], sample.Open(folder).All);
        sample.Parts["m.bias"].Data[9] = 1;
        sample.Write(folder);
        Assert.Equal([QuantizedSamples.Weight, "m.bias"], sample.Open(folder).All);
    }

    public static TheoryData<string> Integers => ["gptq", "awq", "packed", "packed with zeros"];

    [Theory]
    [MemberData(nameof(Integers))]
    public void Integers_keep_their_codes_in_ggml_blocks(string name)
    {
        using var folder = new TempFolder();
        QuantizedSamples sample = name switch { "gptq" => QuantizedSamples.Gptq(), "awq" => QuantizedSamples.Awq(), "packed" => QuantizedSamples.Packed(false), _ => QuantizedSamples.Packed(true) };
        float[] weight = sample.ReadAs(folder, TensorType.Q4_1, out byte[] rows), read = GgmlRows.ToFloats(TensorType.Q4_1, rows, weight.Length);
        Assert.InRange(Nmse.Of(weight, read), 0, 1e-6);
    }

    [Fact]
    public void MXFP4_is_ggmls_own_value_for_value()
    {
        using var folder = new TempFolder();
        float[] weight = QuantizedSamples.MxFp4().ReadAs(folder, TensorType.MXFP4, out byte[] rows);
        Assert.Equal(weight, GgmlRows.ToFloats(TensorType.MXFP4, rows, weight.Length));
    }

    [Fact]
    public void All_E4M3_and_E5M2_bytes_are_the_numbers_of_the_specification()
    {
        // OCP 8-bit floating point specification, table 1.
        float[] e4m3 = NativeBigModel.Quantization.ByteValues.Table("F8_E4M3")!, e5m2 = NativeBigModel.Quantization.ByteValues.Table("F8_E5M2")!;
        Assert.Equal((448f, 0.015625f, 0.013671875f, 0.001953125f, float.NaN, -448f), (e4m3[0x7e], e4m3[0x08], e4m3[0x07], e4m3[0x01], e4m3[0x7f], e4m3[0xfe]));
        Assert.Equal((57344f, float.PositiveInfinity, 6.103515625e-05f, 1.52587890625e-05f), (e5m2[0x7b], e5m2[0x7c], e5m2[0x04], e5m2[0x01]));
    }

    [Theory]
    [InlineData("hqq", "hqq")]
    [InlineData("gptq of 3 bits", "3 bits")]
    [InlineData("awq gemv", "gemv")]
    [InlineData("compressed nvfp4", "nvfp4")]
    public void What_is_not_read_is_refused_by_name(string name, string part)
    {
        using var folder = new TempFolder();
        QuantizedSamples sample = QuantizedSamples.Packed(false);
        switch (name)
        {
            case "hqq": sample.Quantization["quant_method"] = "hqq"; break;
            case "gptq of 3 bits": (sample.Quantization["quant_method"], sample.Quantization["bits"]) = ("gptq", 3); break;
            case "awq gemv": (sample.Quantization["quant_method"], sample.Quantization["bits"], sample.Quantization["version"]) = ("awq", 4, "gemv"); break;
            default: sample.Quantization["format"] = "nvfp4-pack-quantized"; break;
        }
        Assert.Contains(part, Assert.Throws<UnsupportedModelException>(() => sample.Read(folder)).Message, StringComparison.Ordinal);
    }

    private static void Each(float[] weight, Func<int, int, float> expected, float tolerance = 0)
    {
        Assert.Equal(Outputs * Inputs, weight.Length);
        for (int i = 0; i < weight.Length; i++) Assert.Equal(expected(i / Inputs, i % Inputs), weight[i], tolerance);
    }

    private static int Code(QuantizedSamples sample, string part, int word, int place) => BitConverter.ToInt32(sample.Parts[part].Data, word * 4) >> (4 * place) & 15;

    private static float Scale(QuantizedSamples sample, int index) => (float)BitConverter.ToHalf(sample.Parts["m.scales"].Data, index * 2);
}
