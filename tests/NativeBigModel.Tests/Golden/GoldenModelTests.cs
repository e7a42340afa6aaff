using System.Text.Json;

namespace NativeBigModel.Tests.Golden;

/// <summary>Checkpoints that transformers saved, and what it computes from them in float32; each with the configuration spelt in the new and in the old way.</summary>
[Collection(EngineGroup.Name)]
public class GoldenModelTests
{
    private const double Bound = 1e-9;
    private const double LeastMargin = 0.01;

    private static readonly string[] s_cases =
    [
        "llama2", "llama3", "llama_tied", "llama_q256", "llama_sharded", "llama_bf16", "llama_fp16", "llama_yarn", "llama_linear", "mistral", "qwen2", "qwen3",
        "llama_bin", "llama_bin1", "llama_bin_legacy",
        "llama_fp8", "llama_fp8_tensor", "llama_bnb4", "llama_bnb8", "llama_gptq4", "llama_gptq4_actorder", "llama_awq4",
    ];

    public static TheoryData<string, bool> Cases
    {
        get
        {
            var data = new TheoryData<string, bool>();
            foreach (string name in TestFolders.Golden is null ? [TestFolders.NoFolders] : s_cases)
            {
                data.Add(name, false);
                if (TestFolders.Golden is not null) data.Add(name, true);
            }
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Logits_greedy_tokens_and_token_ids_are_those_of_transformers(string name, bool oldConfig)
    {
        if (name == TestFolders.NoFolders) return;
        using TempFolder folder = TestFolders.Copy(name, oldConfig), output = new();
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        float[] expected = Nmse.ReadFloats(folder["logits.f32"]);

        await using (BigModel model = await Capitals.Load(folder.Path, Capitals.Exact()))
        {
            Assert.NotEqual(0, await Require(model, reference.RootElement, expected, Bound));
            RequireTokens(model.Tokenizer, reference.RootElement, fromFile: false);
        }
        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), output["f32.gguf"], WeightType.F32);
        await using (BigModel model = await Capitals.Load(output["f32.gguf"], Capitals.Exact() with { WeightType = WeightType.AsStored }))
        {
            Assert.NotEqual(0, await Require(model, reference.RootElement, expected, Bound));
            RequireTokens(model.Tokenizer, reference.RootElement, fromFile: true);
        }
    }

    /// <summary>Requires the logits within a normalised squared error, and the greedy tokens while the reference is certain of them; gives the number of those.</summary>
    internal static async Task<int> Require(BigModel model, JsonElement reference, float[] expected, double bound)
    {
        int[] ids = Capitals.Ids(reference.GetProperty("logits_ids"));
        float[] logits = await Capitals.Logits(model, ids);
        Assert.InRange(Nmse.Of(expected, logits), 0, bound);

        int[] greedy = Capitals.Ids(reference.GetProperty("greedy"));
        int certain = reference.GetProperty("greedy_margin").EnumerateArray().TakeWhile(margin => margin.GetDouble() >= LeastMargin).Count();
        int[] start = reference.TryGetProperty("greedy_from", out JsonElement from) && from.ValueKind == JsonValueKind.Array ? Capitals.Ids(from) : ids;
        (int[] generated, _) = await Capitals.Run(model, start, new() { Temperature = 0, MaxNewTokens = greedy.Length, IgnoreEndOfGeneration = true });
        Assert.Equal(greedy.Take(certain), generated.Take(certain));
        return certain;
    }

    /// <summary>Requires the reference's token ids; texts in which SentencePiece itself and tokenizer.json differ are another test's.</summary>
    internal static void RequireTokens(Tokenizer tokenizer, JsonElement reference, bool fromFile)
    {
        foreach (JsonElement prompt in reference.GetProperty("prompts").EnumerateArray())
        {
            if (prompt.TryGetProperty("spm_differs", out JsonElement differs) && differs.ValueKind != JsonValueKind.False) continue;
            string text = prompt.GetProperty("text").GetString()!;
            string where = $"{(fromFile ? "GGUF" : "folder")}: {text}";
            Assert.Equal((where, Ids(prompt, "ids")), (where, string.Join(' ', tokenizer.Encode(text))));
            Assert.Equal((where, Ids(prompt, "ids_no_special")), (where, string.Join(' ', tokenizer.Encode(text, addSpecial: false))));
        }
    }

    private static string Ids(JsonElement prompt, string name) => string.Join(' ', Capitals.Ids(prompt.GetProperty(name)));
}
