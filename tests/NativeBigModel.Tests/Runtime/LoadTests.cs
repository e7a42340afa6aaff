using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

[Collection(EngineGroup.Name)]
public class LoadTests(Capitals capitals)
{
    [Fact]
    public async Task Cancelled_at_once_nothing_is_loaded_and_a_second_load_works()
    {
        using var cancel = new CancellationTokenSource();
        await cancel.CancelAsync();
        IReadOnlyList<string> lines = await EngineLog.During(async () =>
        {
            var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => BigModel.LoadAsync(TestFolders.Capitals, Capitals.Small(), null, cancel.Token));
            Assert.Equal(cancel.Token, error.CancellationToken);
        });
        Assert.DoesNotContain(lines, line => line.Contains("buffer size", StringComparison.Ordinal));
        await RequireLoads();
    }

    [Fact]
    public async Task Cancelled_half_way_nothing_is_left_and_a_second_load_works()
    {
        using var cancel = new CancellationTokenSource();
        List<LoadProgress> seen = [];
        var progress = new Now(step =>
        {
            lock (seen) seen.Add(step);
            if (step.BytesDone * 2 > step.BytesTotal) cancel.Cancel();
        });
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => BigModel.LoadAsync(TestFolders.Capitals, Capitals.Small(), progress, cancel.Token));
        Assert.Equal(cancel.Token, error.CancellationToken);
        Assert.All(seen, step => Assert.Equal(LoadPhase.Weights, step.Phase));
        await RequireLoads();
    }

    [Theory]
    [InlineData(WeightType.AsStored)]
    [InlineData(WeightType.Q4_K_M)]
    public async Task Progress_never_falls_and_ends_with_ready(WeightType type)
    {
        List<LoadProgress> seen = [];
        await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, Capitals.Small(type), new Now(step => { lock (seen) seen.Add(step); }));
        ProgressOrder.Require(seen);
        Assert.Contains(seen, step => step.Phase == LoadPhase.Context);
        Assert.All(seen, step => Assert.Equal(model.Plan.WeightBytes, step.BytesTotal));
    }

    [Fact]
    public async Task A_plan_that_does_not_fit_is_refused_before_the_engine_allocates()
    {
        IReadOnlyList<string> lines = await EngineLog.During(async () =>
        {
            PlanOptions options = Capitals.Small() with { MaxMemory = new() { Host = 4 << 20 } };
            var error = await Assert.ThrowsAsync<DoesNotFitException>(() => BigModel.LoadAsync(TestFolders.Capitals, options));
            Assert.True(error.NeededBytes > error.LimitBytes);
        });
        Assert.DoesNotContain(lines, line => line.Contains("buffer size", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_damaged_shard_is_told_and_nothing_is_left()
    {
        using var folder = new TempFolder();
        new TinyModel("LlamaForCausalLM").Write(folder.Path);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        using (FileStream stream = File.OpenWrite(folder["model.safetensors"])) stream.SetLength(stream.Length - 8);
        Plan plan = Planner.Plan(checkpoint.Describe(), Machine.Probe(), Capitals.Small());
        await Assert.ThrowsAsync<CheckpointException>(() => BigModel.LoadAsync(checkpoint, plan));
    }

    [Fact]
    public async Task A_configuration_without_weights_is_told()
    {
        using TempFolder folder = new TempFolder().CopyOf(TestFolders.Capitals);
        foreach (string shard in folder.Files.Where(name => name.EndsWith(".safetensors", StringComparison.Ordinal))) File.Delete(folder[shard]);
        Assert.False(Checkpoint.Open(folder.Path).HasWeights);
        await Assert.ThrowsAsync<CheckpointException>(() => Capitals.Load(folder.Path));
    }

    [Fact]
    public async Task Without_tokenizer_files_ids_go_in_and_out_and_text_is_refused()
    {
        using TempFolder folder = new TempFolder().CopyOf(TestFolders.Capitals, "tokenizer.json", "tokenizer_config.json");
        await using BigModel model = await Capitals.Load(folder.Path);
        Assert.False(model.Tokenizer.HasText);
        Assert.Equal(1024, model.Tokenizer.TokenCount);
        Capitals.Reference reference = Capitals.References[0];
        (int[] ids, string text) = await Capitals.Run(model, reference.Ids, Capitals.Greedy with { MaxNewTokens = reference.Greedy.Length, IgnoreEndOfGeneration = true });
        Assert.Equal(reference.Greedy, ids);
        Assert.Equal("", text);
        Assert.Throws<UnsupportedModelException>(() => model.GenerateAsync("text"));
        Assert.Throws<UnsupportedModelException>(() => model.Tokenizer.Decode([5]));
    }

    [Fact]
    public void Text_comes_back_from_its_ids()
    {
        Tokenizer tokenizer = capitals.Model.Tokenizer;
        foreach (string text in (string[])["", " ", "a", "What is the capital of France?", "你是谁", "😀 naïve\n\ttabs", "  two  spaces ", "\0"])
            Assert.Equal(text, tokenizer.Decode(tokenizer.Encode(text, addSpecial: false)));
    }

    [Fact]
    public void The_spelling_of_a_special_token_is_that_token()
    {
        Tokenizer tokenizer = capitals.Model.Tokenizer;
        int[] ids = tokenizer.Encode("Hi<|end|>there", addSpecial: false);
        Assert.Contains(1, ids);
        Assert.Equal("Hi<|end|>there", tokenizer.Decode(ids));
        Assert.Equal([0, .. ids], tokenizer.Encode("Hi<|end|>there"));
        Capitals.Reference chat = Capitals.References.Single(one => one.Prompt is null);
        Assert.Equal(chat.Ids, tokenizer.Encode("<|begin_of_text|><|user|>\nWhat is the capital of Japan?<|end|>\n<|assistant|>\n", addSpecial: false));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Loading_again_and_again_gives_every_byte_back(bool cancelled)
    {
        const int times = 20;
        async Task Once()
        {
            using var cancel = new CancellationTokenSource();
            var progress = new Now(step => { if (cancelled && step.BytesDone * 2 > step.BytesTotal) cancel.Cancel(); });
            try
            {
                await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, Capitals.Small(WeightType.F32), progress, cancel.Token);
            }
            catch (OperationCanceledException) when (cancelled) { }
        }
        for (int i = 0; i < 5; i++) await Once();
        long before = ResidentBytes();
        for (int i = 0; i < times; i++) await Once();
        long grown = ResidentBytes() - before;
        // Half of what the weights alone would take if no load gave them back.
        Assert.True(grown < times * capitals.Model.Checkpoint.Describe(WeightType.F32).WeightBytes / 2, $"{grown} bytes more after {times} loads");
    }

    private static long ResidentBytes()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return Environment.WorkingSet;
    }

    private static async Task RequireLoads()
    {
        await using BigModel model = await Capitals.Load();
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy)).Ids);
    }
}
