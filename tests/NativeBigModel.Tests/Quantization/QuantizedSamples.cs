using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;

namespace NativeBigModel.Tests.Quantization;

/// <summary>One small weight, <c>m.weight</c> of 32 outputs and 64 inputs, in each format, with its parts where a test can spoil them.</summary>
internal sealed class QuantizedSamples(JsonObject quantization)
{
    public const string Weight = "m.weight";
    public const int Outputs = 32, Inputs = 64;

    public JsonObject Quantization { get; } = quantization;

    public Dictionary<string, (string Type, long[] Shape, byte[] Data)> Parts { get; } = [];

    public static QuantizedSamples Gptq(bool anyOrder = false)
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "gptq", ["bits"] = 4, ["group_size"] = 32, ["desc_act"] = anyOrder });
        sample.Parts["m.qweight"] = ("I32", [8, 32], Random(8 * 32 * 4));
        sample.Parts["m.qzeros"] = ("I32", [2, 4], Random(2 * 4 * 4));
        sample.Parts["m.scales"] = ("F16", [2, 32], Halves(64));
        sample.Parts["m.g_idx"] = ("I32", [64], Ints([.. Enumerable.Range(0, 64).Select(i => anyOrder ? i % 2 : i / 32)]));
        return sample;
    }

    public static QuantizedSamples Awq()
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "awq", ["bits"] = 4, ["group_size"] = 32, ["version"] = "GEMM", ["zero_point"] = true });
        sample.Parts["m.qweight"] = ("I32", [64, 4], Random(64 * 4 * 4));
        sample.Parts["m.qzeros"] = ("I32", [2, 4], Random(2 * 4 * 4));
        sample.Parts["m.scales"] = ("F16", [2, 32], Halves(64));
        return sample;
    }

    /// <summary>NF4 with nested scales, as published 4-bit checkpoints have it.</summary>
    public static QuantizedSamples Nf4()
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "bitsandbytes", ["load_in_4bit"] = true, ["bnb_4bit_quant_type"] = "nf4" });
        sample.Parts["m.weight"] = ("U8", [1024, 1], Random(1024));
        sample.Parts["m.weight.absmax"] = ("U8", [32], Random(32));
        sample.Parts["m.weight.quant_map"] = ("F32", [16], Floats(16));
        sample.Parts["m.weight.nested_absmax"] = ("F32", [1], Floats(1));
        sample.Parts["m.weight.nested_quant_map"] = ("F32", [256], Floats(256));
        sample.State("""{"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [32, 64], "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.25}""");
        return sample;
    }

    public static QuantizedSamples Int8()
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "bitsandbytes", ["load_in_8bit"] = true });
        sample.Parts["m.weight"] = ("I8", [32, 64], Random(2048));
        sample.Parts["m.SCB"] = ("F32", [32], Floats(32));
        sample.Parts["m.weight_format"] = ("U8", [], [0]);
        return sample;
    }

    public static QuantizedSamples Fp8()
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "fp8", ["weight_block_size"] = new JsonArray(16, 32) });
        sample.Parts["m.weight"] = ("F8_E4M3", [32, 64], Random(2048));
        sample.Parts["m.weight_scale_inv"] = ("F32", [2, 2], Floats(4));
        return sample;
    }

    public static QuantizedSamples MxFp4()
    {
        var sample = new QuantizedSamples(new() { ["quant_method"] = "mxfp4" });
        sample.Parts["m.weight_blocks"] = ("U8", [2, 16, 2, 16], Random(1024));
        sample.Parts["m.weight_scales"] = ("U8", [2, 16, 2], [.. Random(64).Select(value => (byte)(100 + value % 40))]);
        return sample;
    }

    public static QuantizedSamples Packed(bool zeros)
    {
        var sample = new QuantizedSamples(new()
        {
            ["quant_method"] = "compressed-tensors",
            ["format"] = "pack-quantized",
            ["config_groups"] = new JsonObject { ["group_0"] = new JsonObject { ["weights"] = new JsonObject { ["num_bits"] = 4, ["type"] = "int", ["strategy"] = "group", ["group_size"] = 32, ["symmetric"] = !zeros } } },
        });
        sample.Parts["m.weight_packed"] = ("I32", [32, 8], Random(1024));
        sample.Parts["m.weight_scale"] = ("BF16", [32, 2], [.. Floats(64).Where((_, i) => i % 4 >= 2)]);
        sample.Parts["m.weight_shape"] = ("I64", [2], [.. BitConverter.GetBytes(32L), .. BitConverter.GetBytes(64L)]);
        if (zeros) sample.Parts["m.weight_zero_point"] = ("I32", [4, 2], Random(32));
        return sample;
    }

    public void State(string json) => Parts["m.weight.quant_state.bitsandbytes__nf4"] = ("U8", [Encoding.UTF8.GetByteCount(json)], Encoding.UTF8.GetBytes(json));

    public void Set(string part, int index, int value) => BinaryPrimitives.WriteInt32LittleEndian(Parts[part].Data.AsSpan(index * 4), value);

    public void Reshape(string part, params long[] shape)
    {
        long old = Parts[part].Shape.Aggregate(1L, (a, b) => a * b), count = shape.Aggregate(1L, (a, b) => a * b);
        Parts[part] = (Parts[part].Type, shape, new byte[Parts[part].Data.Length / old * count]);
    }

    /// <summary>The weight from a file with these parts.</summary>
    public float[] Read(TempFolder folder) => ReadAs(folder, TensorType.F32, out _);

    /// <summary>The weight as rows of floats, and the rows that a model of this type gets.</summary>
    public float[] ReadAs(TempFolder folder, TensorType type, out byte[] rows)
    {
        Write(folder);
        return ReadWritten(folder, type, out rows);
    }

    public void Write(TempFolder folder) => SafetensorsFile.Write(folder["model.safetensors"], [.. Parts.Select(part => (part.Key, part.Value.Type, part.Value.Shape, part.Value.Data))]);

    public StoredWeights Open(TempFolder folder)
    {
        using var config = JsonDocument.Parse(new JsonObject { ["quantization_config"] = Quantization.DeepClone() }.ToJsonString());
        return StoredWeights.Of(FolderTensors.Read(folder.Path), new ConfigReader("config.json", "", config.RootElement));
    }

    /// <summary>The weight from the file that is there.</summary>
    public float[] ReadWritten(TempFolder folder, TensorType type, out byte[] rows)
    {
        StoredWeights weights = Open(folder);
        NativeBigModel.Tensors.TensorSource source = (weights.Find(Weight) ?? throw new CheckpointException(weights.IndexName, Weight, "is missing")).Source, kept = source.As(type);
        using var files = new CheckpointFiles();
        byte[] bytes = new byte[source.RowBytes * source.Rows];
        source.Read(files, 0, bytes);
        rows = new byte[kept.RowBytes * kept.Rows];
        kept.Read(files, 0, rows);
        return MemoryMarshal.Cast<byte, float>(bytes).ToArray();
    }

    private static byte[] Random(int count)
    {
        byte[] bytes = new byte[count];
        new Random(count).NextBytes(bytes);
        return [.. bytes.Select(value => (byte)(value & 0x77))];
    }

    private static byte[] Floats(int count) => [.. Enumerable.Range(0, count).SelectMany(i => BitConverter.GetBytes((i % 2 == 0 ? 1 : -1) * (0.01f + i / 256f)))];

    private static byte[] Halves(int count) => [.. Enumerable.Range(0, count).SelectMany(i => BitConverter.GetBytes((Half)(0.01f + i / 256f)))];

    private static byte[] Ints(int[] values) => MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
}
