using System.Text;
using System.Text.Json;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests;

/// <summary>Everything that computes runs one after the other: the engine takes every core for itself.</summary>
[CollectionDefinition(Name)]
public sealed class EngineGroup : ICollectionFixture<Capitals>
{
    public const string Name = "engine";
}

/// <summary>The bundled model, loaded once, and what transformers computed from it.</summary>
public sealed class Capitals : IAsyncLifetime
{
    /// <summary>A prompt and its greedy continuation.</summary>
    public sealed record Reference(string? Prompt, int[] Ids, int[] Greedy, string Text);

    public const string UnitedStates = "What is the capital of United States?";

    public static GenerateOptions Greedy { get; } = new() { Temperature = 0, MaxNewTokens = 40 };

    public static IReadOnlyList<Reference> References { get; } = ReadReferences();

    public BigModel Model { get; private set; } = null!;

    public async Task InitializeAsync() => Model = await Load();

    public Task DisposeAsync() => Model.DisposeAsync().AsTask();

    public static Task<BigModel> Load(string? path = null, PlanOptions? options = null) => BigModel.LoadAsync(path ?? TestFolders.Capitals, options ?? Small());

    public static PlanOptions Small(WeightType type = WeightType.AsStored) => new() { WeightType = type, ContextLength = 256, MaxMemory = new() { Host = 1 << 30 } };

    /// <summary>float32 weights, float32 cache, the exact attention: what the reference logits are compared with.</summary>
    public static PlanOptions Exact(int? context = null) =>
        new() { WeightType = WeightType.F32, KvType = TensorType.F32, FlashAttention = false, ContextLength = context, MaxMemory = new() { Host = 1 << 30 } };

    /// <summary>Ids of a generation without the end token, and its text.</summary>
    public static async Task<(int[] Ids, string Text)> Run(BigModel model, int[] prompt, GenerateOptions options, CancellationToken cancel = default)
    {
        List<int> ids = [];
        var text = new StringBuilder();
        await foreach (GenerationStep step in model.GenerateAsync(prompt, options, cancel))
        {
            ids.Add(step.Token);
            text.Append(step.Text);
        }
        return ([.. ids], text.ToString());
    }

    public static Task<(int[] Ids, string Text)> Run(BigModel model, string prompt, GenerateOptions options, CancellationToken cancel = default) =>
        Run(model, model.Tokenizer.Encode(prompt), options, cancel);

    public static async Task<float[]> Logits(BigModel model, int[] ids)
    {
        List<float> all = [];
        await foreach (float[] row in model.ComputeLogitsAsync(ids)) all.AddRange(row);
        return [.. all];
    }

    private static List<Reference> ReadReferences()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Capitals, "reference.json")));
        return
        [
            .. from entry in document.RootElement.GetProperty("greedy").EnumerateArray()
               select new Reference(
                   entry.TryGetProperty("prompt", out JsonElement prompt) ? prompt.GetString() : null,
                   Ids(entry.GetProperty("ids")), Ids(entry.GetProperty("greedy")), entry.GetProperty("text").GetString()!),
        ];
    }

    public static int[] Ids(JsonElement array) => [.. array.EnumerateArray().Select(id => id.GetInt32())];
}
