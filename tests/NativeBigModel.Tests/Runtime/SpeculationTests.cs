using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Guessing ahead changes how many passes an answer takes, and nothing of what it says.</summary>
[Collection(EngineGroup.Name)]
public class SpeculationTests(Capitals capitals)
{
    private static readonly GenerateOptions s_lookup = Capitals.Greedy with { Speculation = new() { MaxTokens = 6 } };

    private static PlanOptions Exact(int sessions) => Capitals.Exact(256) with { Sessions = sessions };

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(64)]
    public async Task Greedy_answers_with_lookup_are_those_without(int most)
    {
        await using BigModel model = await Capitals.Load(options: Exact(1));
        foreach (Capitals.Reference reference in Capitals.References)
            Assert.Equal(reference.Greedy, (await Capitals.Run(model, reference.Ids, s_lookup with { Speculation = new() { MaxTokens = most } })).Ids);
    }

    [Fact]
    public async Task Lookup_finds_what_was_said_before()
    {
        await using BigModel model = await Capitals.Load(options: Exact(1));
        Capitals.Reference one = Capitals.References[0];
        int[] prompt = [.. one.Ids, .. one.Greedy, .. one.Ids, .. one.Greedy, .. one.Ids];
        GenerationStep plain = await Last(model, prompt, Capitals.Greedy), guessed = await Last(model, prompt, s_lookup);
        Assert.Equal(0, plain.DraftedTokens);
        Assert.True(guessed.AcceptedTokens >= 4, $"{guessed.AcceptedTokens} of {guessed.DraftedTokens} guesses were right");
        Assert.InRange(guessed.AcceptedTokens, 1, guessed.DraftedTokens);
    }

    [Fact]
    public async Task The_same_seed_says_the_same_with_lookup_and_without()
    {
        await using BigModel model = await Capitals.Load(options: Exact(1));
        int accepted = 0;
        for (uint seed = 0; seed < 12; seed++)
        {
            GenerateOptions options = Capitals.Greedy with { Temperature = 1.3f, TopK = 5, Seed = seed, IgnoreEndOfGeneration = true, RepetitionPenalty = 1.05f };
            (int[] plain, _) = await Capitals.Run(model, Capitals.UnitedStates, options);
            (int[] guessed, _) = await Capitals.Run(model, Capitals.UnitedStates, options with { Speculation = new() });
            Assert.Equal(plain, guessed);
            accepted += (await Last(model, Capitals.References[0].Ids, options with { Speculation = new() })).AcceptedTokens;
        }
        Assert.True(accepted > 0);
    }

    [Fact]
    public async Task Limits_and_stops_fall_on_the_same_token()
    {
        await using BigModel model = await Capitals.Load(options: Exact(1) with { ContextLength = 64 });
        Capitals.Reference one = Capitals.References[0];
        int[] prompt = [.. one.Ids, .. one.Greedy, .. one.Ids];
        for (int most = 1; most < 10; most++)
        {
            GenerateOptions options = Capitals.Greedy with { MaxNewTokens = most };
            (int[], string) plain = await Capitals.Run(model, prompt, options), guessed = await Capitals.Run(model, prompt, options with { Speculation = new() });
            Assert.Equal(plain.Item1, guessed.Item1);
        }
        GenerateOptions full = Capitals.Greedy with { MaxNewTokens = 200, IgnoreEndOfGeneration = true };
        GenerationStep last = await Last(model, prompt, full with { Speculation = new() });
        Assert.Equal(FinishReason.ContextFull, last.Finish);
        Assert.Equal((await Capitals.Run(model, prompt, full)).Ids, (await Capitals.Run(model, prompt, full with { Speculation = new() })).Ids);
        full = full with { KeepWhenFull = 4 };
        Assert.Equal((await Capitals.Run(model, prompt, full)).Ids, (await Capitals.Run(model, prompt, full with { Speculation = new() })).Ids);
        GenerateOptions stop = Capitals.Greedy with { StopStrings = ["States is"] };
        Assert.Equal((await Capitals.Run(model, prompt, stop)).Text, (await Capitals.Run(model, prompt, stop with { Speculation = new() })).Text);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task Greedy_answers_with_a_draft_model_are_those_without(int sessions)
    {
        if (TestFolders.Draft is not { } folder) return;
        await using BigModel draft = await Capitals.Load(folder, Exact(sessions));
        await using BigModel model = await Capitals.Load(options: Exact(sessions));
        GenerateOptions options = Capitals.Greedy with { Speculation = new() { Draft = draft, MaxTokens = 5 } };
        Capitals.Reference[] asked = [.. Capitals.References, .. Capitals.References];
        (int[] Ids, string)[] answers = await Task.WhenAll(asked.Select(one => Task.Run(() => Capitals.Run(model, one.Ids, options))));
        Assert.Equal(asked.Select(one => one.Greedy), answers.Select(answer => answer.Ids));
        GenerationStep last = await Last(model, Capitals.References[0].Ids, options);
        Assert.True(last.AcceptedTokens > 0, $"none of {last.DraftedTokens} guesses was right");
        // The draft is a model like any other meanwhile.
        Assert.NotEmpty((await Capitals.Run(draft, Capitals.UnitedStates, Capitals.Greedy)).Ids);
    }

    [Fact]
    public async Task Sampled_with_a_draft_model_the_second_token_has_the_models_probabilities()
    {
        if (TestFolders.Draft is not { } folder) return;
        const int runs = 1200;
        await using BigModel draft = await Capitals.Load(folder, Exact(1));
        await using BigModel model = await Capitals.Load(options: Exact(1));
        GenerateOptions options = Capitals.Greedy with { Temperature = 6, TopK = 4, TopP = 1, MinP = 0, MaxNewTokens = 3, IgnoreEndOfGeneration = true, Speculation = new() { Draft = draft } };
        var seen = new Dictionary<(int, int), int>();
        int drafted = 0, accepted = 0;
        // Nonsense, after which both models are unsure.
        int[] prompt = [5, 700, 33, 90];
        for (uint seed = 0; seed < runs; seed++)
        {
            List<GenerationStep> steps = [];
            await foreach (GenerationStep step in model.GenerateAsync(prompt, options with { Seed = seed })) steps.Add(step);
            (int, int) pair = (steps[0].Token, steps[1].Token);
            seen[pair] = seen.GetValueOrDefault(pair) + 1;
            drafted += steps[^1].DraftedTokens;
            accepted += steps[^1].AcceptedTokens;
        }
        Assert.InRange(drafted, runs, 3 * runs);
        Assert.InRange(accepted, drafted / 50, drafted * 19 / 20);
        using var sampler = new TokenSampler(options, model.Tokenizer, 256);
        TokenDistribution first = sampler.Distribution((await Rows(model, prompt))[^1]);
        var expected = new Dictionary<(int, int), double>();
        foreach (int token in first.Tokens)
        {
            TokenDistribution second = sampler.Distribution((await Rows(model, [.. prompt, token]))[^1]);
            foreach (int next in second.Tokens) expected[(token, next)] = runs * first[token] * second[next];
        }
        Assert.All(seen.Keys, pair => Assert.Contains(pair, expected.Keys));
        // 16 outcomes: 15 degrees of freedom, which chance alone takes beyond 44.3 once in ten thousand times. Rare ones count together.
        List<(double Expected, int Seen)> cells = [.. expected.Where(one => one.Value >= 5).Select(one => (one.Value, seen.GetValueOrDefault(one.Key)))];
        if (cells.Count < expected.Count) cells.Add((runs - cells.Sum(cell => cell.Expected), runs - cells.Sum(cell => cell.Seen)));
        Assert.True(cells.Count >= 8, $"only {cells.Count} outcomes");
        Assert.InRange(cells.Sum(cell => Math.Pow(cell.Seen - cell.Expected, 2) / cell.Expected), 0, 44.3);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void A_guess_that_is_verified_leaves_the_models_distribution(int shape)
    {
        const int draws = 20000;
        var random = new Random(shape);
        int vocabulary = capitals.Model.Tokenizer.TokenCount;
        float[] own = new float[vocabulary], drafts = new float[vocabulary];
        for (int i = 0; i < vocabulary; i++)
        {
            own[i] = (float)random.NextDouble() * 4 + (i < 10 ? 3 : 0);
            // Nearly the same, unlike, or without a token in common.
            drafts[i] = shape == 0 ? own[i] + (float)random.NextDouble() * 0.3f : shape == 1 ? (float)random.NextDouble() * 4 + (i < 10 ? 3 : 0) : i < 10 ? 0 : 5;
        }
        GenerateOptions options = new() { Temperature = 1, TopK = 8, TopP = 1, MinP = 0, Seed = 5 };
        using var sampler = new TokenSampler(options, capitals.Model.Tokenizer, 256);
        using var guesser = new TokenSampler(options.ForGuesses(), capitals.Model.Tokenizer, 256);
        TokenDistribution p = sampler.Distribution(own), q = guesser.Distribution(drafts);
        Dictionary<int, int> counts = [];
        int kept = 0;
        for (int i = 0; i < draws; i++)
        {
            (int token, bool right) = sampler.Verify(own, q.Pick(guesser.Draw()), q);
            counts[token] = counts.GetValueOrDefault(token) + 1;
            if (right) kept++;
        }
        Assert.All(counts.Keys, token => Assert.Contains(token, p.Tokens));
        double distance = p.Tokens.Select((token, i) => Math.Pow(counts.GetValueOrDefault(token) - draws * p.Probabilities[i], 2) / (draws * p.Probabilities[i])).Sum();
        Assert.InRange(distance, 0, 29.9); // 7 degrees of freedom, once in ten thousand times
        double overlap = p.Tokens.Select((token, i) => Math.Min(p.Probabilities[i], q[token])).Sum();
        Assert.InRange(kept / (double)draws, overlap - 0.02, overlap + 0.02);
    }

    [Fact]
    public async Task A_draft_that_cannot_guess_is_refused_or_told()
    {
        await using BigModel model = await Capitals.Load(options: Exact(1));
        Assert.Contains("itself", Refused(model, model).Message, StringComparison.Ordinal);
        using var folder = new TempFolder();
        new TinyModel("LlamaForCausalLM").Write(folder.Path);
        await using (BigModel other = await Capitals.Load(folder.Path, Capitals.Small()))
            Assert.Contains("64", Refused(model, other).Message, StringComparison.Ordinal);
        BigModel gone = await Capitals.Load(options: Exact(1));
        GenerateOptions options = Capitals.Greedy with { IgnoreEndOfGeneration = true, MaxNewTokens = 200, Speculation = new() { Draft = gone } };
        await Assert.ThrowsAsync<ObjectDisposedException>(async () =>
        {
            await foreach (GenerationStep _ in model.GenerateAsync(Capitals.References[0].Ids, options)) await gone.DisposeAsync();
        });
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy)).Ids);
        Assert.Throws<ObjectDisposedException>(() => model.GenerateAsync(Capitals.References[0].Ids, options));
        Assert.Throws<InvalidOptionException>(() => model.GenerateAsync(Capitals.References[0].Ids, s_lookup with { Speculation = new() { MaxTokens = 65 } }));
    }

    [Fact]
    public async Task A_streamed_model_guesses_too()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Exact(256) with { MaxMemory = null, Offload = OffloadMode.Stream, Sessions = 2 });
        Assert.NotNull(model.Streaming);
        Capitals.Reference[] asked = [.. Capitals.References, .. Capitals.References];
        (int[] Ids, string)[] answers = await Task.WhenAll(asked.Select(one => Task.Run(() => Capitals.Run(model, one.Ids, s_lookup))));
        Assert.Equal(asked.Select(one => one.Greedy), answers.Select(answer => answer.Ids));
    }

    private static InvalidOptionException Refused(BigModel model, BigModel draft) =>
        Assert.Throws<InvalidOptionException>(() => model.GenerateAsync(Capitals.References[0].Ids, Capitals.Greedy with { Speculation = new() { Draft = draft } }));

    private static async Task<GenerationStep> Last(BigModel model, int[] prompt, GenerateOptions options)
    {
        GenerationStep? last = null;
        await foreach (GenerationStep step in model.GenerateAsync(prompt, options)) last = step;
        return last!;
    }

    private static async Task<List<float[]>> Rows(BigModel model, int[] tokens)
    {
        List<float[]> rows = [];
        await foreach (float[] row in model.ComputeLogitsAsync(tokens)) rows.Add(row);
        return rows;
    }
}
