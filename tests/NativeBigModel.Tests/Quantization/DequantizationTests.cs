using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.HuggingFace;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Conversion;
using NativeBigModel.Native;
using NativeBigModel.Quantization;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Quantization;

/// <summary>Quantised golden checkpoints against the weights that their makers dequantised: the first layer bit for bit, the sums of all.</summary>
[Collection(EngineGroup.Name)]
public class DequantizationTests
{
    private static readonly string[] s_cases =
        ["llama_fp8", "llama_fp8_tensor", "llama_bnb4", "llama_bnb8", "llama_gptq4", "llama_gptq4_actorder", "llama_awq4", "gpt_oss_mxfp4"];

    private static readonly TensorType[] s_candidates = [TensorType.Q4_0, TensorType.Q4_1, TensorType.IQ4_NL, TensorType.MXFP4, TensorType.Q5_0, TensorType.Q5_1, TensorType.Q8_0];

    public static TheoryData<string> Cases => [.. TestFolders.Golden is null ? [TestFolders.NoFolders] : s_cases];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Rows_are_those_of_the_reference_bit_for_bit(string name)
    {
        if (name == TestFolders.NoFolders) return;
        string folder = Path.Combine(TestFolders.Golden!, name), reference = Path.Combine(folder, "ref", "dequant_layer0.safetensors");
        using JsonDocument sums = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        StoredWeights weights = Open(folder);
        IReadOnlyList<StoredTensor> tensors = SafetensorsHeader.Read(reference);
        Assert.NotEmpty(tensors);
        foreach (StoredTensor tensor in tensors)
        {
            StoredWeight weight = weights.Find(tensor.Name)!;
            float[] expected = ReadAll(new StoredSource(tensor, TensorType.F32, 1, tensor.Bytes / 4));
            Assert.Equal(weight.Transposed ? Transpose(expected, tensor.Shape.AsSpan()) : expected, ReadAll(weight.Source));
        }
        foreach (JsonProperty sum in sums.RootElement.GetProperty("dequant_sums").EnumerateObject())
        {
            float[] values = ReadAll(weights.Find(sum.Name)!.Source);
            Assert.Equal(sum.Value[0].GetDouble(), values.Sum(value => (double)value), 1e-6);
            Assert.Equal(sum.Value[1].GetDouble(), values.Sum(value => Math.Abs((double)value)), 1e-6);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Any_part_of_the_rows_is_the_same_as_in_the_whole(string name)
    {
        if (name == TestFolders.NoFolders) return;
        StoredWeights weights = Open(Path.Combine(TestFolders.Golden!, name));
        TensorSource source = weights.All.Select(weight => weights.Find(weight)!.Source).First(source => source is QuantizedSource);
        float[] whole = ReadAll(source);
        using var files = new CheckpointFiles();
        foreach ((int first, int count) in ((int, int)[])[(0, 1), (1, 3), (5, 9), ((int)source.Rows - 1, 1)])
        {
            float[] part = new float[count * source.Columns];
            source.Read(files, first, MemoryMarshal.AsBytes(part.AsSpan()));
            Assert.Equal(whole[(int)(first * source.Columns)..(int)((first + count) * source.Columns)], part);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_type_that_is_kept_is_the_smallest_that_loses_little(string name)
    {
        if (name == TestFolders.NoFolders) return;
        EngineLibrary.Load();
        StoredWeights weights = Open(Path.Combine(TestFolders.Golden!, name));
        List<TensorSource> sources = [.. weights.All.Select(weight => weights.Find(weight)!.Source).Where(source => source is QuantizedSource)];
        TensorType kept = sources[0].StoredType;
        double bound = kept == TensorType.Q8_0 ? 1e-4 : 1.5e-3;
        Assert.All(sources, source => Assert.Equal(kept, source.StoredType));
        Assert.InRange(sources.Average(source => Loss(source, kept)), 0, bound);
        foreach (TensorType smaller in s_candidates.Where(type => type.BlockBytes() < kept.BlockBytes())) Assert.InRange(sources.Average(source => Loss(source, smaller)), bound, 1);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_conversion_says_what_it_lost(string name)
    {
        if (name is TestFolders.NoFolders or "gpt_oss_mxfp4") return;
        using TempFolder output = new();
        string folder = Path.Combine(TestFolders.Golden!, name);
        List<TensorSource> sources = [.. Open(folder).All.Select(weight => Open(folder).Find(weight)!.Source).Where(source => source is QuantizedSource)];

        ConversionResult result = await GgufConverter.ConvertAsync(Checkpoint.Open(folder), output["out.gguf"], WeightType.AsStored);

        // Where codes are kept, nothing is made.
        TensorType kept = sources[0].StoredType;
        if (sources[0].As(kept) != sources[0]) Assert.Empty(result.Losses);
        else Assert.InRange(Assert.Single(result.Losses, loss => loss.Key == kept).Value / sources.Average(source => Loss(source, kept)), 0.8, 1.25);
    }

    // What is lost is what the types above lose, times what two small layers make of it.
    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_model_kept_as_stored_computes_nearly_the_same(string name)
    {
        if (name is TestFolders.NoFolders or "gpt_oss_mxfp4") return;
        string folder = Path.Combine(TestFolders.Golden!, name);
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "reference.json")));
        await using BigModel model = await Capitals.Load(folder, Capitals.Exact() with { WeightType = WeightType.AsStored });
        float[] logits = await Capitals.Logits(model, Capitals.Ids(reference.RootElement.GetProperty("logits_ids")));
        Assert.InRange(Nmse.Of(Nmse.ReadFloats(Path.Combine(folder, "logits.f32")), logits), 0, name is "llama_bnb4" or "llama_gptq4_actorder" ? 3e-2 : 3e-3);
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void An_index_alone_describes_the_same_tensors(string name)
    {
        if (name is TestFolders.NoFolders or "gpt_oss_mxfp4") return;
        string original = Path.Combine(TestFolders.Golden!, name);
        using TempFolder folder = new TempFolder().CopyOf(original, "model.safetensors");
        JsonObject map = new(SafetensorsHeader.Read(Path.Combine(original, "model.safetensors")).Select(tensor => KeyValuePair.Create(tensor.Name, (JsonNode?)"model-00001-of-00001.safetensors")));
        File.WriteAllText(folder["model.safetensors.index.json"], new JsonObject { ["weight_map"] = map }.ToJsonString());
        Assert.Equal<TensorSpec>([.. Checkpoint.Open(original).Describe().Tensors], [.. Checkpoint.Open(folder.Path).Describe().Tensors]);
    }

    [Fact]
    public void Experts_of_MXFP4_keep_their_blocks_and_stand_as_the_graph_reads_them()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("gpt_oss_mxfp4");
        // As published its rotary scaling is refused, which is another test's.
        JsonNode config = JsonNode.Parse(File.ReadAllBytes(folder["config.json"]))!;
        config["rope_parameters"]!["truncate"] = true;
        File.WriteAllText(folder["config.json"], config.ToJsonString());
        StoredWeights weights = Open(folder.Path);
        Dictionary<string, ModelTensor> floats = Checkpoint.Open(folder.Path).Define(WeightType.F32).Tensors.ToDictionary(tensor => tensor.Spec.Name);
        Dictionary<string, ModelTensor> stored = Checkpoint.Open(folder.Path).Define(WeightType.AsStored).Tensors.ToDictionary(tensor => tensor.Spec.Name);
        float[] gateUp = ReadAll(weights.Find("model.layers.0.mlp.experts.gate_up_proj")!.Source);
        int columns = (int)floats["blk.0.ffn_gate_exps.weight"].Source.Columns;
        Assert.Equal(gateUp.Chunk(columns).Where((_, row) => row % 2 == 0).SelectMany(row => row), ReadAll(floats["blk.0.ffn_gate_exps.weight"].Source));
        Assert.Equal(gateUp.Chunk(columns).Where((_, row) => row % 2 == 1).SelectMany(row => row), ReadAll(floats["blk.0.ffn_up_exps.weight"].Source));
        Assert.Equal(ReadAll(weights.Find("model.layers.0.mlp.experts.down_proj")!.Source), ReadAll(floats["blk.0.ffn_down_exps.weight"].Source));
        foreach (string name in (string[])["gate", "up", "down"])
        {
            ModelTensor tensor = stored[$"blk.0.ffn_{name}_exps.weight"];
            Assert.Equal((TensorType.MXFP4, TensorType.MXFP4), (tensor.Spec.Type, tensor.Source.Type));
            float[] expected = ReadAll(floats[tensor.Spec.Name].Source);
            Assert.Equal(expected, GgmlRows.ToFloats(TensorType.MXFP4, ReadBytes(tensor.Source), expected.Length));
        }
    }

    private static StoredWeights Open(string folder)
    {
        using JsonDocument config = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "config.json")));
        return StoredWeights.Of(FolderTensors.Read(folder), new ConfigReader("config.json", "", config.RootElement));
    }

    private static double Loss(TensorSource source, TensorType type)
    {
        float[] values = ReadAll(source);
        TensorSource kept = source.As(type);
        byte[] rows = ReadBytes(kept), encoded = new byte[type.RowBytes(source.Columns) * source.Rows];
        RowEncoder.Encode("test", rows, kept.Type, encoded, type, source.Columns);
        return Nmse.Of(values, GgmlRows.ToFloats(type, encoded, values.Length));
    }

    private static float[] ReadAll(TensorSource source) => MemoryMarshal.Cast<byte, float>(ReadBytes(source)).ToArray();

    private static byte[] ReadBytes(TensorSource source)
    {
        using var files = new CheckpointFiles();
        byte[] bytes = new byte[source.RowBytes * source.Rows];
        source.Read(files, 0, bytes);
        return bytes;
    }

    private static float[] Transpose(float[] values, ReadOnlySpan<long> shape)
    {
        int rows = (int)shape[^2], columns = (int)shape[^1], matrix = rows * columns;
        float[] result = new float[values.Length];
        for (int i = 0; i < values.Length; i++) result[i / matrix * matrix + i % columns * rows + i % matrix / columns] = values[i];
        return result;
    }
}
