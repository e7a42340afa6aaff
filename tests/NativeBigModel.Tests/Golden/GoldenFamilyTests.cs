using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Golden;

/// <summary>Every family's tensors and hyperparameters and its tokenizer against transformers; and the bytes of their caches against llama.cpp's log.</summary>
[Collection(EngineGroup.Name)]
public partial class GoldenFamilyTests
{
    // ggml's GELU on the CPU is a table in half precision.
    private const double Exact = 1e-9, Table = 1e-6;

    private static readonly string[] s_exact =
    [
        "mistral_swa", "mixtral", "qwen2_moe", "qwen3_moe", "phi3", "phi3_longrope", "stablelm", "olmo", "olmo2", "cohere", "granite", "smollm3", "glm", "glm4", "exaone4", "nemotron",
        "seed_oss", "ernie4_5", "deepseek_v2", "deepseek_v3", "deepseek_v3_yarn", "mamba", "opt",
    ];

    private static readonly string[] s_table =
        ["gemma", "gemma2", "gemma3", "phi", "gptj", "codegen", "codegen_moss", "gpt2", "gpt2_base", "gpt_neox", "gpt_neox_seq", "falcon", "falcon_new", "bloom", "bloom_base", "starcoder2", "mpt"];

    public static TheoryData<string, bool> Cases
    {
        get
        {
            if (TestFolders.Golden is null) return new() { { TestFolders.NoFolders, false } };
            var data = new TheoryData<string, bool>();
            foreach (string name in (string[])[.. s_exact, .. s_table])
            {
                data.Add(name, false);
                data.Add(name, true);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Logits_greedy_tokens_token_ids_and_cache_bytes_are_right_from_folder_and_file(string name, bool oldConfig)
    {
        if (name == TestFolders.NoFolders) return;
        using TempFolder folder = TestFolders.Copy(name, oldConfig), output = new();
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        float[] expected = Nmse.ReadFloats(folder["logits.f32"]);
        double bound = s_exact.Contains(name) ? Exact : Table;
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), output["f32.gguf"], WeightType.F32);
        foreach ((string path, WeightType type) in ((string, WeightType)[])[(folder.Path, WeightType.F32), (output["f32.gguf"], WeightType.AsStored)])
        {
            IReadOnlyList<string> lines = await EngineLog.During(async () =>
            {
                await using BigModel model = await Capitals.Load(path, Capitals.Exact() with { WeightType = type });
                await GoldenModelTests.Require(model, reference.RootElement, expected, bound);
                GoldenModelTests.RequireTokens(model.Tokenizer, reference.RootElement, fromFile: path != folder.Path);
            });
            Plan plan = Planner.Plan(Checkpoint.Open(path).Describe(type), Machine.Probe(), Capitals.Exact() with { WeightType = type });
            decimal[] allocated = [.. lines.Select(line => CacheLine().Match(line)).Where(match => match.Success).Select(match => decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
            Assert.NotEmpty(allocated);
            // Each line is rounded to hundredths of a MiB.
            Assert.InRange(allocated.Sum(), plan.KvBytes / 1048576m - 0.005m * allocated.Length, plan.KvBytes / 1048576m + 0.005m * allocated.Length);
        }
    }

    [Theory]
    [InlineData("exaone4_swa", "sliding_window")]
    [InlineData("gpt_oss", "rope_scaling")]
    [InlineData("gpt_oss", "with truncate true it can")]
    public void What_no_graph_computes_is_refused_by_name(string name, string key)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy(name);
        Assert.Contains(key, Assert.Throws<UnsupportedModelException>(() => Checkpoint.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gemma2", "rope.dimension_count", 16u)]
    [InlineData("gemma3", "attention.value_length", 16u)]
    [InlineData("gpt2", "attention.key_length", 8u)]
    [InlineData("phi", "rope.dimension_count", 64u)]
    [InlineData("deepseek_v3", "attention.key_length_mla", 8u)]
    [InlineData("deepseek_v3", "attention.head_count_kv", 4u)]
    [InlineData("deepseek_v3", "attention.kv_lora_rank", 16u)]
    [InlineData("deepseek_v3", "leading_dense_block_count", 0u)]
    [InlineData("mamba", "ssm.inner_size", 64u)]
    [InlineData("gemma2", "attention.sliding_window_pattern", 1u)]
    [InlineData("mixtral", "expert_used_count", 9u)]
    [InlineData("qwen2_moe", "expert_shared_feed_forward_length", 96u)]
    public void A_file_that_would_break_its_graph_is_refused(string name, string key, uint value)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy(name), output = new();
        ModelDefinition definition = Checkpoint.Open(folder.Path).Define(WeightType.F32);
        definition.Metadata[$"{definition.Shape.Architecture}.{key}"] = value;
        GgufFile.Write(output["spoilt.gguf"], definition.Metadata, definition.Tensors, null, CancellationToken.None);
        Assert.ThrowsAny<BigModelException>(() => Checkpoint.Open(output["spoilt.gguf"]));
    }

    [GeneratedRegex(@"(?:KV|RS) buffer size = +([0-9.]+) MiB")]
    private static partial Regex CacheLine();
}
