using System.Text.Json;

namespace NativeBigModel.Tests.Runtime;

[Collection(EngineGroup.Name)]
public class LogitsTests(Capitals capitals)
{
    private const double Bound = 1e-9;

    // logits.f32 itself lies 3.3e-9 from double precision (PlainLlama), nearly all of it in the last row; the engine's own error is far less.
    private const double BoundOfFile = 1e-8;

    private static readonly float[] s_reference = Nmse.ReadFloats(Path.Combine(TestFolders.Capitals, "logits.f32"));

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(512)]
    public async Task In_float32_they_are_those_of_the_definition_and_of_transformers_whatever_the_batch(int batch)
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Exact(256) with { BatchSize = batch });
        float[] logits = await Capitals.Logits(model, LogitsIds());
        Assert.InRange(Nmse.Of(new PlainLlama(model.Checkpoint).Logits(LogitsIds()), logits), 0, Bound);
        Assert.InRange(Nmse.Of(s_reference, logits), 0, BoundOfFile);
    }

    [Fact]
    public async Task A_long_sequence_gives_a_row_for_every_token()
    {
        int[] ids = [.. Enumerable.Range(0, 100).Select(i => 10 + i * 7 % 900)];
        List<float[]> rows = [];
        await foreach (float[] row in capitals.Model.ComputeLogitsAsync(ids)) rows.Add(row);
        Assert.Equal(100, rows.Count);
        Assert.All(rows, row => Assert.Equal(capitals.Model.Tokenizer.TokenCount, row.Length));
        // A row depends on the tokens up to its own only.
        float[] shorter = await Capitals.Logits(capitals.Model, ids[..50]);
        Assert.InRange(Nmse.Of(shorter, [.. rows.Take(50).SelectMany(row => row)]), 0, 1e-5);
    }

    [Fact]
    public async Task The_folder_and_its_converted_file_give_the_same_bits()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        await using BigModel model = await Capitals.Load(folder["model.gguf"]);
        Assert.Equal(await Capitals.Logits(capitals.Model, LogitsIds()), await Capitals.Logits(model, LogitsIds()));
    }

    [Fact]
    public async Task Leaving_the_rows_early_frees_the_model()
    {
        await foreach (float[] _ in capitals.Model.ComputeLogitsAsync(LogitsIds())) break;
        Assert.Equal(s_reference.Length, (await Capitals.Logits(capitals.Model, LogitsIds())).Length);
    }

    [Fact]
    public async Task Cancelling_between_rows_ends_them_with_the_callers_token()
    {
        using var cancel = new CancellationTokenSource();
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (float[] _ in capitals.Model.ComputeLogitsAsync([.. Enumerable.Repeat(5, 100)], cancel.Token)) await cancel.CancelAsync();
        });
        Assert.Equal(cancel.Token, error.CancellationToken);
        Assert.Equal(s_reference.Length, (await Capitals.Logits(capitals.Model, LogitsIds())).Length);
    }

    private static int[] LogitsIds()
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Capitals, "reference.json")));
        return Capitals.Ids(document.RootElement.GetProperty("logits_ids"));
    }
}
