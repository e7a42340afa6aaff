namespace NativeBigModel.Tests.Runtime;

/// <summary>What a generation says, against transformers' greedy tokens and against itself under other settings.</summary>
[Collection(EngineGroup.Name)]
public class GenerationTests(Capitals capitals)
{
    private const string Question = Capitals.UnitedStates;

    private BigModel Model => capitals.Model;

    public static TheoryData<int> All => [.. Enumerable.Range(0, Capitals.References.Count)];

    [Theory]
    [MemberData(nameof(All))]
    public async Task Greedy_tokens_are_those_of_transformers(int index)
    {
        Capitals.Reference reference = Capitals.References[index];
        if (reference.Prompt is { } prompt) Assert.Equal(reference.Ids, Model.Tokenizer.Encode(prompt));
        (int[] ids, string text) = await Capitals.Run(Model, reference.Ids, Capitals.Greedy);
        Assert.Equal(reference.Greedy, ids);
        Assert.Equal(reference.Text.Replace("<|end|>", "", StringComparison.Ordinal), text);
    }

    [Theory]
    [InlineData(WeightType.Q8_0)]
    [InlineData(WeightType.Q4_K_M)]
    public async Task A_quantised_model_still_knows_the_capital(WeightType type)
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small(type));
        (_, string text) = await Capitals.Run(model, Question, Capitals.Greedy);
        Assert.Contains("Washington, D.C.", text, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TensorType.F16, true)]
    [InlineData(TensorType.F16, false)]
    [InlineData(TensorType.BF16, true)]
    [InlineData(TensorType.BF16, false)]
    [InlineData(TensorType.F32, true)]
    [InlineData(TensorType.Q8_0, true)]
    [InlineData(TensorType.Q4_0, true)]
    public async Task Every_type_of_KV_cache_keeps_the_answer(TensorType type, bool flashAttention)
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { KvType = type, FlashAttention = flashAttention });
        (_, string text) = await Capitals.Run(model, Question, Capitals.Greedy);
        Assert.StartsWith(" The capital of", text, StringComparison.Ordinal);
        if (type != TensorType.Q4_0) Assert.Contains("Washington, D.C.", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_same_seed_gives_the_same_text_and_other_seeds_give_others()
    {
        HashSet<string> texts = [];
        foreach (uint seed in (uint[])[0, 1, 2, 3, 4, 5, 6, 7, uint.MaxValue])
        {
            GenerateOptions options = new() { Seed = seed, Temperature = 1.5f, TopK = 0, TopP = 1, MinP = 0, MaxNewTokens = 24, IgnoreEndOfGeneration = true };
            (int[] ids, string text) = await Capitals.Run(Model, Question, options);
            (int[] again, _) = await Capitals.Run(Model, Question, options);
            Assert.Equal(ids, again);
            texts.Add(text);
        }
        Assert.True(texts.Count > 4, $"only {texts.Count} texts from 9 seeds");
    }

    [Fact]
    public async Task Without_a_seed_each_run_differs()
    {
        GenerateOptions options = new() { Temperature = 2, TopK = 0, TopP = 1, MinP = 0, MaxNewTokens = 32, IgnoreEndOfGeneration = true };
        HashSet<string> texts = [];
        for (int i = 0; i < 4; i++) texts.Add((await Capitals.Run(Model, Question, options)).Text);
        Assert.True(texts.Count > 1);
    }

    [Fact]
    public async Task Temperature_0_and_top_k_1_are_greedy_whatever_the_seed()
    {
        foreach (uint seed in (uint[])[1, 2])
        {
            Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Question, Capitals.Greedy with { Seed = seed, TopK = 3, TopP = 0.1f })).Ids);
            Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Question, Capitals.Greedy with { Seed = seed, Temperature = 1.5f, TopK = 1 })).Ids);
        }
    }

    [Fact]
    public async Task Top_p_near_0_and_min_p_1_leave_only_the_likeliest()
    {
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Question, Capitals.Greedy with { Temperature = 1, TopP = 1e-6f })).Ids);
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Question, Capitals.Greedy with { Temperature = 1, TopP = 1, MinP = 1 })).Ids);
    }

    [Fact]
    public async Task A_repetition_penalty_over_prompt_and_answer_changes_the_answer()
    {
        (int[] plain, _) = await Capitals.Run(Model, Question, Capitals.Greedy);
        (int[] penalised, _) = await Capitals.Run(Model, Question, Capitals.Greedy with { RepetitionPenalty = 50 });
        Assert.NotEqual(plain, penalised);
        // The prompt's own tokens count: greedy repeats many of them, and a heavy penalty allows none while others are left.
        Assert.DoesNotContain(penalised.Take(10), token => Capitals.References[0].Ids.Contains(token));
        Assert.Equal(10, penalised.Take(10).Distinct().Count());
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public async Task MaxNewTokens_is_exact(int count)
    {
        List<GenerationStep> steps = await Steps(Question, Capitals.Greedy with { MaxNewTokens = count });
        Assert.Equal(Capitals.References[0].Greedy.Take(count), steps.Select(step => step.Token));
        Assert.Equal(FinishReason.MaxNewTokens, steps[^1].Finish);
        Assert.All(steps.SkipLast(1), step => Assert.Null(step.Finish));
    }

    [Fact]
    public async Task The_end_token_ends_the_answer_and_is_not_its_text()
    {
        List<GenerationStep> steps = await Steps(Question, Capitals.Greedy);
        Assert.Equal(FinishReason.EndOfGeneration, steps[^1].Finish);
        Assert.True(Model.Tokenizer.IsEndOfGeneration(steps[^1].Token));
        Assert.DoesNotContain("<|", string.Concat(steps.Select(step => step.Text)), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Ignoring_the_end_token_goes_past_it()
    {
        (int[] ids, _) = await Capitals.Run(Model, Question, Capitals.Greedy with { IgnoreEndOfGeneration = true });
        Assert.Equal(40, ids.Length);
        Assert.Equal(Capitals.References[0].Greedy, ids.Take(Capitals.References[0].Greedy.Length));
    }

    [Fact]
    public async Task A_full_context_ends_the_generation_on_the_last_place()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { ContextLength = 16 });
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in model.GenerateAsync(Question, Capitals.Greedy with { IgnoreEndOfGeneration = true })) steps.Add(step);
        Assert.Equal(FinishReason.ContextFull, steps[^1].Finish);
        Assert.Equal(16 - Capitals.References[0].Ids.Length + 1, steps.Count);
        Assert.Equal(Capitals.References[0].Greedy.Take(steps.Count), steps.Select(step => step.Token));
    }

    [Fact]
    public async Task A_context_of_one_token_answers_with_one()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { ContextLength = 1 });
        GenerationStep? only = null;
        await foreach (GenerationStep step in model.GenerateAsync([0], Capitals.Greedy with { IgnoreEndOfGeneration = true })) only = only is null ? step : throw new InvalidOperationException("a second step");
        Assert.Equal(FinishReason.ContextFull, only!.Finish);
    }

    [Theory]
    [InlineData("Washington", " The capital of the United States is ")]
    [InlineData("States is Wash", " The capital of the United ")]
    [InlineData("ashingto", " The capital of the United States is W")]
    [InlineData(" ", "")]
    public async Task A_stop_string_ends_the_text_before_it_however_the_tokens_fall(string stop, string expected)
    {
        List<GenerationStep> steps = await Steps(Question, Capitals.Greedy with { StopStrings = ["never said", stop] });
        Assert.Equal(expected, string.Concat(steps.Select(step => step.Text)));
        Assert.Equal(FinishReason.StopString, steps[^1].Finish);
    }

    [Fact]
    public async Task A_stop_string_that_never_comes_changes_nothing()
    {
        (_, string text) = await Capitals.Run(Model, Question, Capitals.Greedy with { StopStrings = ["D.C..x", "Washington D"] });
        Assert.Equal(" The capital of the United States is Washington, D.C..", text);
    }

    [Fact]
    public async Task Chinese_is_never_cut_within_a_character()
    {
        Capitals.Reference reference = Capitals.References.Single(one => one.Prompt == "你是谁");
        List<GenerationStep> steps = await Steps("你是谁", Capitals.Greedy);
        Assert.All(steps.SkipLast(1), step => Assert.DoesNotContain('\uFFFD', step.Text));
        Assert.Contains(steps, step => step.Text.Length == 0);
        Assert.Equal(reference.Text, string.Concat(steps.Select(step => step.Text)));
        Assert.Equal(Model.Tokenizer.Decode([.. steps.Select(step => step.Token)]), string.Concat(steps.Select(step => step.Text)));
    }

    [Fact]
    public async Task Options_outside_their_range_are_named()
    {
        GenerateOptions[] wrong =
        [
            new() { MaxNewTokens = 0 }, new() { Temperature = -1 }, new() { Temperature = float.NaN }, new() { TopK = -1 }, new() { TopP = 0 }, new() { TopP = 1.1f },
            new() { MinP = -0.1f }, new() { RepetitionPenalty = 0 }, new() { StopStrings = [""] },
        ];
        foreach (GenerateOptions options in wrong)
            await Assert.ThrowsAsync<InvalidOptionException>(() => Capitals.Run(Model, Question, options));
    }

    private async Task<List<GenerationStep>> Steps(string prompt, GenerateOptions options)
    {
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in Model.GenerateAsync(prompt, options)) steps.Add(step);
        return steps;
    }
}
