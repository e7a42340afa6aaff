using System.Text.RegularExpressions;
using NativeBigModel.Bench;
using NativeBigModel.Bench.Models;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Bench;

/// <summary>Models whose text is known, and what guessing ahead of them is worth.</summary>
[Collection(EngineGroup.Name)]
public class SpeculationBenchTests
{
    private static readonly SyntheticModel s_model = new("model", "llama", WeightType.F16, 4, 512, 1024, 8, 2, 284) { Text = new() };

    private static readonly SyntheticModel s_draft = new("draft", "llama", WeightType.F16, 2, 256, 512, 4, 2, 284) { Text = new() };

    [Fact]
    public async Task AModelThatCountsDoesSoInCirclesWhateverCameBefore()
    {
        using var folder = new TempFolder();
        s_model.WriteGguf(folder["model.gguf"]);
        await using BigModel model = await BigModel.LoadAsync(folder["model.gguf"], Small);
        Assert.Equal((int[])[.. Enumerable.Range(3, 25), .. Enumerable.Range(0, 28), 0, 1], await Say(model, [77, 200, 2], 55));
        Assert.Equal((int[])[83, 56, 57, 58], await Say(model, [82], 4));
        // The vocabulary's last circle has four tokens.
        Assert.Equal((int[])[282, 283, 280, 281, 282], await Say(model, [5, 281], 5));
    }

    [Fact]
    public async Task ADraftThatErrsCountsAsFarAsItsSeventhToken()
    {
        using var folder = new TempFolder();
        (s_draft with { Text = new(WrongEvery: 7) }).WriteGguf(folder["draft.gguf"]);
        await using BigModel model = await BigModel.LoadAsync(folder["draft.gguf"], Small);
        foreach (int token in Enumerable.Range(0, 280)) Assert.Equal(token % 7 != 6, (await Say(model, [token], 1))[0] == token + 1);
    }

    [Fact]
    public async Task GuessesOfLookupAndOfADraftAreRightAndThoseOfOneThatErrsMostlyAre()
    {
        using var folder = new TempFolder();
        string model = folder["model.gguf"], draft = folder["draft.gguf"], errs = folder["errs.gguf"];
        s_model.WriteGguf(model);
        s_draft.WriteGguf(draft);
        (s_draft with { Text = new(WrongEvery: 7) }).WriteGguf(errs);
        var output = new StringWriter();
        int code = await SpeculationBench.RunAsync(model, ["--drafts", $"{draft},{errs}", "--draft-tokens", "6,8", "--tokens", "44", "--context", "256", "--max-memory", "cpu=200MiB"], output, default);
        string[] lines = [.. output.ToString().Split('\n').Where(line => line.Contains("at a time", StringComparison.Ordinal))];
        (string Guesser, int Most, int Right, int Guesses)[] guessed = [.. lines.Select(line => Regex.Match(line, "^(.+), (.+) at a time: .* times; (.+) of (.+) guesses right, .*; same text"))
            .Select(match => (match.Groups[1].Value, int.Parse(match.Groups[2].ValueSpan), int.Parse(match.Groups[3].ValueSpan), int.Parse(match.Groups[4].ValueSpan)))];
        Assert.Equal(0, code);
        Assert.Equal(["lookup", "lookup", "draft", "draft", "errs", "errs"], guessed.Select(one => one.Guesser));
        // 43 tokens after the first: six or four passes carry them, and each has one more than it guesses.
        Assert.All(guessed[..4], one => Assert.Equal((one.Most == 6 ? 36 : 38, one.Right), (one.Right, one.Guesses)));
        // From the 0, 7, 14 and so on six guesses are right; the eight that were asked for are not.
        Assert.InRange((double)guessed[4].Right / guessed[4].Guesses, 0.8, 1);
        Assert.InRange((double)guessed[5].Right / guessed[5].Guesses, 0.6, 0.8);
    }

    [Fact]
    public void NamesOfModelsThatCountAreThoseOfShapesInF16()
    {
        Assert.Equal(SyntheticModel.Named("7b-f16").Tensors.Select(tensor => (tensor.Name, tensor.Bytes)), SyntheticModel.Named("7b-f16-counting-errs").Tensors.Select(tensor => (tensor.Name, tensor.Bytes)));
        Assert.Equal((new CountingText(), new CountingText(7)), (SyntheticModel.Named("1b-f16-counting").Text, SyntheticModel.Named("1b-f16-counting-errs").Text));
        Assert.Contains("7b-q4_0-counting", Assert.Throws<InvalidOptionException>(() => SyntheticModel.Named("7b-q4_0-counting")).Message, StringComparison.Ordinal);
    }

    private static PlanOptions Small => new() { ContextLength = 128, MaxMemory = MemoryLimits.Parse("cpu=200MiB") };

    private static async Task<int[]> Say(BigModel model, int[] prompt, int tokens)
    {
        var ids = new List<int>();
        await foreach (GenerationStep step in model.GenerateAsync(prompt, new() { Temperature = 0, MaxNewTokens = tokens, IgnoreEndOfGeneration = true })) ids.Add(step.Token);
        return [.. ids];
    }
}
