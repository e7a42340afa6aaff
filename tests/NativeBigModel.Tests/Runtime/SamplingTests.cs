using System.Collections.Immutable;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Grammars, penalties, biases and log-probabilities.</summary>
[Collection(EngineGroup.Name)]
public class SamplingTests(Capitals capitals)
{
    private const string Cities = "root ::= \" \" (\"Paris\" | \"Berlin\" | \"Rome\") \"!\"";

    private BigModel Model => capitals.Model;

    [Theory]
    [InlineData(0f)]
    [InlineData(1.5f)]
    public async Task An_answer_follows_its_grammar_and_ends_with_it(float temperature)
    {
        HashSet<string> texts = [];
        for (uint seed = 0; seed < 12; seed++)
        {
            GenerationStep[] steps = await Steps(Capitals.Greedy with { Grammar = Cities, Temperature = temperature, TopK = 0, TopP = 1, MinP = 0, Seed = seed, IgnoreEndOfGeneration = true });
            texts.Add(string.Concat(steps.Select(step => step.Text)));
            Assert.Equal(FinishReason.EndOfGeneration, steps[^1].Finish);
        }
        Assert.All(texts, text => Assert.Contains(text, (string[])[" Paris!", " Berlin!", " Rome!"]));
        Assert.True(temperature == 0 ? texts.Count == 1 : texts.Count > 1);
    }

    [Fact]
    public async Task A_grammar_that_allows_everything_changes_nothing() =>
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Capitals.References[0].Ids, Capitals.Greedy with { Grammar = "root ::= [^\\x00]*" })).Ids);

    [Fact]
    public async Task Grammar_and_lookup_agree()
    {
        const string grammar = "root ::= (\" The capital\" | \" the city\")+ \".\"";
        GenerateOptions options = Capitals.Greedy with { Grammar = grammar, MaxNewTokens = 30 };
        Assert.Equal((await Capitals.Run(Model, Capitals.UnitedStates, options)).Ids, (await Capitals.Run(Model, Capitals.UnitedStates, options with { Speculation = new() })).Ids);
    }

    [Theory]
    [InlineData("")]
    [InlineData("no grammar")]
    [InlineData("root ::= missing")]
    [InlineData("other ::= \"a\"")]
    [InlineData("root ::= root \"a\"")]
    [InlineData("root ::= \"a")]
    [InlineData("root ::= [a-")]
    [InlineData("root ::= \"a\"{100000}")]
    [InlineData("root ::= \"a\"\0")]
    [InlineData("root ::= * \"a\"")]
    public async Task Texts_that_are_no_grammar_are_refused(string grammar)
    {
        await Assert.ThrowsAsync<InvalidOptionException>(() => Capitals.Run(Model, Capitals.UnitedStates, Capitals.Greedy with { Grammar = grammar }));
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(Model, Capitals.References[0].Ids, Capitals.Greedy)).Ids);
    }

    [Fact]
    public async Task Grammars_too_deep_or_too_long_are_refused_with_the_number()
    {
        foreach ((string grammar, string number) in ((string, string)[])
            [
                ("root ::= " + new string('(', 100_000) + "\"a\"" + new string(')', 100_000), "100000 deep"),
                ("root ::= a0\n" + string.Concat(Enumerable.Range(0, 5000).Select(i => $"a{i} ::= a{i + 1}\n")), "5001 rules"),
                ("root ::= \"" + new string('a', 1 << 21) + "\"", "characters"),
            ])
        {
            var error = await Assert.ThrowsAsync<InvalidOptionException>(() => Capitals.Run(Model, Capitals.UnitedStates, Capitals.Greedy with { Grammar = grammar }));
            Assert.Contains(number, error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_bias_rules_tokens_in_and_out()
    {
        int first = Capitals.References[0].Greedy[0];
        (int[] without, _) = await Capitals.Run(Model, Capitals.UnitedStates, Capitals.Greedy with { LogitBias = ImmutableDictionary<int, float>.Empty.Add(first, float.NegativeInfinity) });
        Assert.DoesNotContain(first, without);
        (int[] with, _) = await Capitals.Run(Model, Capitals.UnitedStates, Capitals.Greedy with { MaxNewTokens = 5, LogitBias = ImmutableDictionary<int, float>.Empty.Add(77, 1000) });
        Assert.All(with, token => Assert.Equal(77, token));
    }

    [Fact]
    public async Task Frequency_and_presence_count_the_answer_and_not_the_prompt()
    {
        GenerateOptions plain = Capitals.Greedy with { IgnoreEndOfGeneration = true, MaxNewTokens = 100 };
        int[] prompt = [5, 700, 33, 90];
        (int[] ids, _) = await Capitals.Run(Model, prompt, plain with { FrequencyPenalty = 2, PresencePenalty = 1 });
        Assert.NotEqual((await Capitals.Run(Model, prompt, plain)).Ids, ids);
        List<float[]> rows = [];
        await foreach (float[] row in Model.ComputeLogitsAsync([.. prompt, .. ids])) rows.Add(row);
        var counts = new int[Model.Tokenizer.TokenCount];
        for (int i = 0; i < ids.Length; i++)
        {
            float[] penalised = [.. rows[prompt.Length - 1 + i].Select((logit, token) => logit - 2 * counts[token] - (counts[token] > 0 ? 1 : 0))];
            Assert.InRange(penalised[ids[i]], penalised.Max() - 0.05f, float.MaxValue);
            counts[ids[i]]++;
        }
    }

    [Fact]
    public async Task Log_probabilities_are_those_of_the_logits()
    {
        GenerationStep[] steps = await Steps(Capitals.Greedy with { LogProbs = 3 });
        Assert.Null((await Steps(Capitals.Greedy))[0].LogProb);
        int[] ids = [.. Capitals.References[0].Ids, .. steps.Select(step => step.Token)];
        List<float[]> rows = [];
        await foreach (float[] row in Model.ComputeLogitsAsync(ids)) rows.Add(row);
        for (int i = 0; i < steps.Length; i++)
        {
            float[] row = rows[Capitals.References[0].Ids.Length - 1 + i];
            double total = Math.Log(row.Sum(logit => Math.Exp(logit)));
            Assert.Equal(row[steps[i].Token] - total, steps[i].LogProb!.Value, 0.05);
            int[] likeliest = [.. Enumerable.Range(0, row.Length).OrderByDescending(token => row[token]).Take(3)];
            Assert.Equal(likeliest[0], steps[i].TopLogProbs[0].Token);
            Assert.Equal(steps[i].LogProb, steps[i].TopLogProbs[0].LogProb);
            Assert.Equal(3, steps[i].TopLogProbs.Length);
            Assert.True(steps[i].TopLogProbs[0].LogProb >= steps[i].TopLogProbs[1].LogProb && steps[i].TopLogProbs[1].LogProb >= steps[i].TopLogProbs[2].LogProb);
        }
        Assert.Empty((await Steps(Capitals.Greedy with { LogProbs = 0 }))[0].TopLogProbs);
    }

    [Fact]
    public void Options_outside_their_range_are_named()
    {
        GenerateOptions[] wrong =
        [
            new() { FrequencyPenalty = 3 }, new() { PresencePenalty = float.NaN }, new() { LogProbs = -1 }, new() { LogProbs = 101 }, new() { KeepWhenFull = -1 }, new() { KeepWhenFull = 255 },
            new() { LogitBias = ImmutableDictionary<int, float>.Empty.Add(1024, 1) }, new() { LogitBias = ImmutableDictionary<int, float>.Empty.Add(-1, 1) },
            new() { LogitBias = ImmutableDictionary<int, float>.Empty.Add(1, float.NaN) }, new() { Speculation = new() { MaxTokens = 0 } },
        ];
        foreach (GenerateOptions options in wrong) Assert.Throws<InvalidOptionException>(() => Model.GenerateAsync(Capitals.UnitedStates, options));
    }

    private async Task<GenerationStep[]> Steps(GenerateOptions options)
    {
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in Model.GenerateAsync(Capitals.References[0].Ids, options)) steps.Add(step);
        return [.. steps];
    }
}
