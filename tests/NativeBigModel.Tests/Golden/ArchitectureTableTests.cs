using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Golden;

/// <summary>
/// Every golden case from its folder, and its GGUF file in llama.cpp as anyone has it. The run leaves its table in artifacts/architectures.md; docs/architectures.md is one of these,
/// and must name the same cases with the same results.
/// </summary>
[Collection(EngineGroup.Name)]
public partial class ArchitectureTableTests
{
    private const double Bound = 1e-6, Exact = 1e-9;

    private const string Head = """
        # Architectures

        What `ArchitectureTableTests` measured: each golden checkpoint (tiny, random weights, saved by transformers) from its folder, and its F32 GGUF file in llama.cpp as it comes,
        against transformers in float32. NMSE is the squared error of the logits over their squares (of BERT: of the last hidden states); greedy tokens are compared while transformers is
        certain of them; tokens are the ids of all texts of the case. Families under NMSE 1e-9 compute what transformers computes; those above have a GELU, which ggml computes on the CPU
        from a table in half precision. What is refused is refused by name, and never computed otherwise.

        | case | class | graph | NMSE from the folder | NMSE of the GGUF in llama.cpp | greedy | tokens |
        |---|---|---|---|---|---|---|
        """;

    [Fact]
    public async Task Every_case_is_right_here_and_in_llama_cpp_or_refused_by_name()
    {
        if (TestFolders.Golden is null) return;
        List<string> rows = [];
        foreach (string name in Directory.GetDirectories(TestFolders.Golden).Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)) rows.Add(await Row(name));
        string table = Head + "\n" + string.Join('\n', rows) + "\n", artifacts = Path.Combine(TestFolders.Repository, "artifacts");
        Directory.CreateDirectory(artifacts);
        File.WriteAllText(Path.Combine(artifacts, "architectures.md"), table);
        Assert.Equal(WithoutNumbers(File.ReadAllText(Path.Combine(TestFolders.Repository, "docs", "architectures.md"))), WithoutNumbers(table));
    }

    private static async Task<string> Row(string name)
    {
        using TempFolder folder = TestFolders.Copy(name), output = new();
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(folder["reference.json"]));
        JsonElement reference = document.RootElement;
        string family = reference.GetProperty("architecture").GetString()!;
        Checkpoint checkpoint;
        try { checkpoint = Checkpoint.Open(folder.Path); }
        catch (UnsupportedModelException refusal) { return $"| {name} | {family} | | refused: {refusal.Message.Replace("|", "", StringComparison.Ordinal)} | | | |"; }
        ModelShape shape = checkpoint.Describe();
        int[] ids = Capitals.Ids(reference.GetProperty("logits_ids"));
        int[]? encoded = reference.TryGetProperty("encoder_ids", out JsonElement list) ? Capitals.Ids(list) : null;
        float[] expected = Nmse.ReadFloats(folder["logits.f32"]);
        float[] computed = await Compute(folder.Path, shape.Kind, ids, encoded);
        double here = Nmse.Of(expected, computed);
        await GgufConverter.ConvertAsync(checkpoint, output["f32.gguf"], WeightType.F32);
        double stock = Nmse.Of(expected, StockLlama.Compute(output["f32.gguf"], ids, encoded));
        Assert.True(here <= Bound && stock <= Bound, $"{name}: {here} from the folder, {stock} in llama.cpp");
        using Tokenizer tokenizer = Tokenizer.Open(checkpoint);
        GoldenModelTests.RequireTokens(tokenizer, reference, fromFile: false);
        string texts = reference.GetProperty("prompts").GetArrayLength().ToString(CultureInfo.InvariantCulture);
        int? greedy = shape.Kind == ModelKind.Encoder ? null : await Greedy(folder.Path, reference, encoded);
        return string.Create(CultureInfo.InvariantCulture, $"| {name} | {family} | {shape.Architecture} | {here:0.0e+0} | {stock:0.0e+0} | {(greedy is { } steps ? $"equal, {steps} steps" : "")} | equal, {texts} texts |");
    }

    private static async Task<float[]> Compute(string path, ModelKind kind, int[] ids, int[]? encoded)
    {
        if (kind == ModelKind.Encoder)
        {
            await using EmbeddingModel embedding = await EmbeddingModel.LoadAsync(path, Capitals.Exact());
            return [.. (await embedding.ComputeVectorsAsync(ids)).SelectMany(vector => vector)];
        }
        await using BigModel model = await Capitals.Load(path, Capitals.Exact());
        if (encoded is null) return await Capitals.Logits(model, ids);
        List<float> all = [];
        await foreach (float[] row in model.ComputeLogitsAsync(encoded, ids)) all.AddRange(row);
        return [.. all];
    }

    private static async Task<int> Greedy(string path, JsonElement reference, int[]? encoded)
    {
        int[] greedy = Capitals.Ids(reference.GetProperty("greedy"));
        int certain = reference.GetProperty("greedy_margin").EnumerateArray().TakeWhile(margin => margin.GetDouble() >= 0.01).Count();
        int[] start = reference.TryGetProperty("greedy_from", out JsonElement from) && from.ValueKind == JsonValueKind.Array ? Capitals.Ids(from) : Capitals.Ids(reference.GetProperty("logits_ids"));
        var options = new GenerateOptions { Temperature = 0, MaxNewTokens = greedy.Length, IgnoreEndOfGeneration = true, AnswerStart = encoded is null ? [] : [.. start] };
        await using BigModel model = await Capitals.Load(path, Capitals.Exact());
        (int[] generated, _) = await Capitals.Run(model, encoded ?? start, options);
        Assert.Equal(greedy.Take(certain), generated.Take(certain));
        return certain;
    }

    private static string WithoutNumbers(string table) => Number().Replace(table.ReplaceLineEndings("\n"), "| ~ ");

    [GeneratedRegex(@"\| [0-9.]+e[-+][0-9]+ ")]
    private static partial Regex Number();
}
