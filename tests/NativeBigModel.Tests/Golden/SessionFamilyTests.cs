using System.Globalization;
using System.Text.RegularExpressions;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Golden;

/// <summary>Sessions where memory is not one row a token for all of them: windows, states, compressed rows, positions that depend on the context's length.</summary>
[Collection(EngineGroup.Name)]
public partial class SessionFamilyTests
{
    private const int Sessions = 4;

    public static TheoryData<string> Cases => TestFolders.Golden is null ? [TestFolders.NoFolders] : ["mistral_swa", "gemma2", "gemma3", "mamba", "phi3_longrope", "deepseek_v2", "falcon"];

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task Each_session_says_what_it_says_alone_and_the_cache_has_the_bytes_of_the_plan(string name)
    {
        if (name == TestFolders.NoFolders) return;
        using TempFolder folder = TestFolders.Copy(name), files = new();
        Plan? plan = null;
        IReadOnlyList<string> lines = await EngineLog.During(async () =>
        {
            await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact() with { Sessions = Sessions });
            plan = model.Plan;
            int vocabulary = model.Tokenizer.TokenCount;
            int[][] prompts = [.. Enumerable.Range(0, 6).Select(i => Enumerable.Range(0, 20 + 5 * i).Select(at => (at * 37 + i * 101) % vocabulary).ToArray())];
            List<int[]> alone = [];
            foreach (int[] prompt in prompts) alone.Add(await Fresh(model, prompt));
            (int[] Ids, string)[] together = await Task.WhenAll(prompts.Select(prompt => Task.Run(() => Capitals.Run(model, prompt, Options()))));
            Assert.Equal(alone, together.Select(one => one.Ids));

            await using ModelSession session = model.CreateSession();
            await Run(session, prompts[0]);
            int[] first = [.. session.Tokens];
            await using ModelSession fork = await session.ForkAsync();
            await session.SaveAsync(files["saved"]);
            await using ModelSession loaded = await model.LoadSessionAsync(files["saved"]);
            foreach ((ModelSession one, int token) in ((ModelSession, int)[])[(session, 5), (fork, 6), (loaded, 7)])
            {
                GenerationStep[] steps = await Run(one, [.. first, token, 8]);
                Assert.Equal(first.Length, steps[0].ReusedTokens);
                Assert.Equal(await Fresh(model, [.. first, token, 8]), steps.Select(step => step.Token));
            }
            // An edit far back: what the memory cannot keep is computed again.
            int[] edited = [.. first[..5], 9, .. first[6..]];
            Assert.Equal(await Fresh(model, edited), (await Run(session, edited)).Select(step => step.Token));
        });
        decimal[] allocated = [.. lines.Select(line => CacheLine().Match(line)).Where(match => match.Success).Select(match => decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
        Assert.NotEmpty(allocated);
        Assert.InRange(allocated.Sum(), plan!.KvBytes / 1048576m - 0.005m * allocated.Length, plan.KvBytes / 1048576m + 0.005m * allocated.Length);
    }

    [Fact]
    public async Task A_state_for_all_tokens_cannot_take_guesses_back()
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy("mamba");
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        Assert.Throws<UnsupportedModelException>(() => model.GenerateAsync([1, 2, 3], Options() with { Speculation = new() }));
    }

    [Theory]
    [InlineData("mistral_swa")]
    [InlineData("gemma3")]
    public async Task Windows_take_wrong_guesses_back(string name)
    {
        if (TestFolders.Golden is null) return;
        using TempFolder folder = TestFolders.Copy(name);
        await using BigModel model = await Capitals.Load(folder.Path, Capitals.Exact());
        int[] prompt = [.. Enumerable.Range(0, 60).Select(at => at % 7 + 10)];
        GenerateOptions options = Options() with { MaxNewTokens = 60, ReusePrefix = false };
        Assert.Equal((await Capitals.Run(model, prompt, options)).Ids, (await Capitals.Run(model, prompt, options with { Speculation = new() })).Ids);
    }

    private static GenerateOptions Options() => new() { Temperature = 0, MaxNewTokens = 12, IgnoreEndOfGeneration = true };

    private static async Task<int[]> Fresh(BigModel model, int[] prompt) => (await Capitals.Run(model, prompt, Options() with { ReusePrefix = false })).Ids;

    private static async Task<GenerationStep[]> Run(ModelSession session, int[] tokens)
    {
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in session.GenerateAsync(tokens, Options())) steps.Add(step);
        return [.. steps];
    }

    [GeneratedRegex(@"(?:KV|RS) buffer size = +([0-9.]+) MiB")]
    private static partial Regex CacheLine();
}
