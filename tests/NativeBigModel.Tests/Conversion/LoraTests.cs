using System.Runtime.InteropServices;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tests.Conversion;

/// <summary>Adapters against their definition: W + alpha / r * B A, written out here in double precision.</summary>
[Collection(EngineGroup.Name)]
public class LoraTests
{
    private const string Query = "model.layers.0.self_attn.q_proj", Down = "model.layers.5.mlp.down_proj";

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_weight_is_what_the_definition_says(bool byRoot)
    {
        using var adapter = new TempFolder();
        var random = new Random(3);
        List<(string, string, long[], byte[])> tensors = [];
        Checkpoint plain = Checkpoint.Open(TestFolders.Capitals);
        Dictionary<string, (long Rows, long Columns)> shapes = plain.StoredTensors.Where(tensor => tensor.Shape.Length == 2).ToDictionary(tensor => tensor.Name, tensor => (tensor.Shape[0], tensor.Shape[1]));
        foreach ((string module, int rank) in ((string, int)[])[(Query, 4), (Down, 2)])
        {
            (long rows, long columns) = shapes[module + ".weight"];
            tensors.Add(($"base_model.model.{module}.lora_A.weight", "F32", [rank, columns], Values(random, rank * columns)));
            tensors.Add(($"base_model.model.{module}.lora_B.weight", "F32", [rows, rank], Values(random, rows * rank)));
        }
        SafetensorsFile.Write(adapter["adapter_model.safetensors"], tensors);
        JsonObject config = Config();
        config["use_rslora"] = byRoot;
        config["rank_pattern"] = new JsonObject { ["mlp.down_proj"] = 2 };
        config["alpha_pattern"] = new JsonObject { ["down_proj"] = 3 };
        File.WriteAllText(adapter["adapter_config.json"], config.ToJsonString());

        Dictionary<string, float[]> before = Read(plain), after = Read(Checkpoint.Open(TestFolders.Capitals, [adapter.Path]));
        double Scale(double alpha, double rank) => alpha / (byRoot ? Math.Sqrt(rank) : rank);
        foreach ((string gguf, string module, int rank, double scale) in ((string, string, int, double)[])
            [("blk.0.attn_q.weight", Query, 4, Scale(16, 4)), ("blk.5.ffn_down.weight", Down, 2, Scale(3, 2))])
        {
            float[] a = Floats(tensors, module, "A"), b = Floats(tensors, module, "B");
            (long rows, long columns) = shapes[module + ".weight"];
            // Of the query the rows of each head come in pairs.
            long Stored(long row) => gguf.Contains("attn_q", StringComparison.Ordinal) ? row / 32 * 32 + row % 32 % 2 * 16 + row % 32 / 2 : row;
            var expected = new float[rows * columns];
            for (long i = 0; i < expected.Length; i++)
            {
                (long row, long column) = (Stored(i / columns), i % columns);
                double sum = 0;
                for (int r = 0; r < rank; r++) sum += (double)b[row * rank + r] * a[r * columns + column];
                expected[i] = (float)(before[gguf][i] + scale * sum);
            }
            Assert.InRange(Nmse.Of(expected, after[gguf]), 0, 1e-13);
            Assert.NotEqual(before[gguf], after[gguf]);
        }
        foreach (string name in before.Keys.Except(["blk.0.attn_q.weight", "blk.5.ffn_down.weight"])) Assert.Equal(before[name], after[name]);
    }

    [Fact]
    public void A_weight_that_is_stored_the_other_way_round_and_an_embedding_get_the_transpose()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder adapter = new();
        using TempFolder source = TestFolders.Copy("gpt2");
        JsonObject untied = JsonNode.Parse(File.ReadAllText(source["config.json"]))!.AsObject();
        Checkpoint plain = Checkpoint.Open(source.Path);
        string module = plain.StoredTensors.First(tensor => tensor.Name.EndsWith("h.0.mlp.c_fc.weight", StringComparison.Ordinal)).Name[..^".weight".Length];
        (int rows, int columns) = ((int)untied["n_embd"]!, 4 * (int)untied["n_embd"]!);
        var random = new Random(5);
        List<(string, string, long[], byte[])> tensors =
        [
            ($"base_model.model.{module}.lora_A.weight", "F32", [3, rows], Values(random, 3 * rows)),
            ($"base_model.model.{module}.lora_B.weight", "F32", [columns, 3], Values(random, columns * 3)),
        ];
        SafetensorsFile.Write(adapter["adapter_model.safetensors"], tensors);
        JsonObject config = Config();
        config["r"] = 3;
        config["fan_in_fan_out"] = true;
        File.WriteAllText(adapter["adapter_config.json"], config.ToJsonString());
        float[] before = Read(plain)["blk.0.ffn_up.weight"], after = Read(Checkpoint.Open(source.Path, [adapter.Path]))["blk.0.ffn_up.weight"], a = Floats(tensors, module, "A"), b = Floats(tensors, module, "B");
        // ggml's rows are outputs: element [output, input] grows by 16 / 3 * sum of B[output, r] A[r, input].
        float[] expected = [.. before.Select((value, i) => (float)(value + 16.0 / 3 * Enumerable.Range(0, 3).Sum(r => (double)b[i / rows * 3 + r] * a[r * rows + i % rows])))];
        Assert.InRange(Nmse.Of(expected, after), 0, 1e-13);
    }

    [Fact]
    public async Task The_command_merges_while_it_converts_and_while_it_runs()
    {
        using TempFolder adapter = Adapter([(Query, 4)]), output = new();
        Tool.Result converted = await Tool.Run("convert", TestFolders.Capitals, output["merged.gguf"], "--type", "f32", "--lora", adapter.Path);
        Assert.Equal((0, ""), (converted.ExitCode, string.Concat(converted.ErrorLines)));
        string[] run = ["--prompt", Capitals.UnitedStates, "--temperature", "0", "--max-new-tokens", "8", "--json"];
        Tool.Result direct = await Tool.Run(["run", TestFolders.Capitals, "--type", "f32", "--lora", adapter.Path, .. run]), file = await Tool.Run(["run", output["merged.gguf"], .. run]);
        Assert.Equal(JsonNode.Parse(file.Output)!["ids"]!.ToJsonString(), JsonNode.Parse(direct.Output)!["ids"]!.ToJsonString());
    }

    public static TheoryData<string, string, string> Refused => new()
    {
        { "peft_type", "\"IA3\"", "peft_type" }, { "use_dora", "true", "use_dora" }, { "bias", "\"all\"", "bias" }, { "r", "0", "r:" }, { "r", "5", "[5, " }, { "layer_replication", "[[0,4]]", "layer_replication" },
        { "rank_pattern", "{\"q_proj\": 99999999}", "rank_pattern" }, { "lora_alpha", "1e400", "lora_alpha" },
    };

    [Theory]
    [MemberData(nameof(Refused))]
    public void An_adapter_of_another_kind_is_refused_by_name(string key, string value, string part)
    {
        using TempFolder adapter = Adapter([(Query, 4)]);
        string text = Config().ToJsonString();
        JsonObject config = JsonNode.Parse(text)!.AsObject();
        config.Remove(key);
        File.WriteAllText(adapter["adapter_config.json"], config.ToJsonString().Replace("{", $"{{\"{key}\": {value}, ", StringComparison.Ordinal));
        BigModelException error = Assert.ThrowsAny<BigModelException>(() => Checkpoint.Open(TestFolders.Capitals, [adapter.Path]));
        Assert.True(error is CheckpointException or UnsupportedModelException);
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("model.layers.9.self_attn.q_proj", "no weight that this changes")]
    [InlineData("model.embed_tokens", "no weight that this changes|as its output too")]
    public void An_adapter_of_another_model_is_refused(string module, string part)
    {
        using TempFolder adapter = Adapter([(Query, 4)], module);
        BigModelException error = Assert.ThrowsAny<BigModelException>(() => Checkpoint.Open(TestFolders.Capitals, [adapter.Path]));
        Assert.Contains(part.Split('|'), one => error.Message.Contains(one, StringComparison.Ordinal) || error.Message.Contains("has shape", StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_adapter_is_not_merged_into_a_GGUF_file()
    {
        using TempFolder adapter = Adapter([(Query, 4)]), output = new();
        await GgufConverter.ConvertAsync(Checkpoint.Open(TestFolders.Capitals), output["a.gguf"], WeightType.F16);
        Assert.Throws<UnsupportedModelException>(() => Checkpoint.Open(output["a.gguf"], [adapter.Path]));
    }

    internal static TempFolder Adapter((string Module, int Rank)[] modules, string? renamed = null)
    {
        var folder = new TempFolder();
        var random = new Random(3);
        Dictionary<string, long[]> shapes = Checkpoint.Open(TestFolders.Capitals).StoredTensors.ToDictionary(tensor => tensor.Name, tensor => tensor.Shape.ToArray());
        List<(string, string, long[], byte[])> tensors = [];
        foreach ((string module, int rank) in modules)
        {
            long[] shape = shapes[module + ".weight"];
            tensors.Add(($"base_model.model.{renamed ?? module}.lora_A.weight", "F32", [rank, shape[1]], Values(random, rank * shape[1])));
            tensors.Add(($"base_model.model.{renamed ?? module}.lora_B.weight", "F32", [shape[0], rank], Values(random, shape[0] * rank)));
        }
        SafetensorsFile.Write(folder["adapter_model.safetensors"], tensors);
        File.WriteAllText(folder["adapter_config.json"], Config().ToJsonString());
        return folder;
    }

    private static JsonObject Config() => new() { ["peft_type"] = "LORA", ["r"] = 4, ["lora_alpha"] = 16, ["bias"] = "none" };

    private static byte[] Values(Random random, long count)
    {
        var values = new float[count];
        for (int i = 0; i < values.Length; i++) values[i] = (random.NextSingle() - 0.5f) * 0.2f;
        return MemoryMarshal.AsBytes(values.AsSpan()).ToArray();
    }

    private static float[] Floats(List<(string Name, string, long[], byte[] Data)> tensors, string module, string half) =>
        Nmse.Floats(tensors.Single(tensor => tensor.Name.Contains($"{module}.lora_{half}.", StringComparison.Ordinal)).Data);

    private static Dictionary<string, float[]> Read(Checkpoint checkpoint)
    {
        using var files = new CheckpointFiles();
        return checkpoint.Define(WeightType.F32).Tensors.ToDictionary(tensor => tensor.Spec.Name, tensor =>
        {
            byte[] rows = new byte[tensor.Source.RowBytes * tensor.Source.Rows];
            tensor.Source.Read(files, 0, rows);
            var values = new float[tensor.Spec.Elements];
            NativeBigModel.Conversion.Floats.Widen(rows, tensor.Source.Type, values);
            return values;
        });
    }
}
