using System.Globalization;
using System.Text.RegularExpressions;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Several generations at the same time: each says what it says alone, whoever else comes, goes or does not read.</summary>
[Collection(EngineGroup.Name)]
public partial class BatchingTests
{
    private static readonly TimeSpan s_never = TimeSpan.FromSeconds(60);
    private static readonly GenerateOptions s_long = Capitals.Greedy with { MaxNewTokens = 200, IgnoreEndOfGeneration = true };

    private static PlanOptions Together(int sessions) => Capitals.Exact(256) with { Sessions = sessions };

    [Theory]
    [InlineData(8, 512)]
    [InlineData(8, 5)]
    [InlineData(3, 1)]
    [InlineData(2, 512)]
    public async Task Many_at_once_each_say_what_transformers_says(int sessions, int batch)
    {
        await using BigModel model = await Capitals.Load(options: Together(sessions) with { BatchSize = batch });
        Capitals.Reference[] asked = [.. Capitals.References, .. Capitals.References, .. Capitals.References];
        (int[] Ids, string Text)[] answers = await Task.WhenAll(asked.Select(one => Task.Run(() => Capitals.Run(model, one.Ids, Capitals.Greedy)))).WaitAsync(s_never);
        Assert.Equal(asked.Select(one => one.Greedy), answers.Select(answer => answer.Ids));
    }

    [Fact]
    public async Task Sampled_answers_are_those_of_the_same_seed_alone()
    {
        await using BigModel model = await Capitals.Load(options: Together(8));
        GenerateOptions[] options = [.. Enumerable.Range(0, 8).Select(seed => Capitals.Greedy with { Temperature = 1.2f, TopK = 0, TopP = 1, MinP = 0, Seed = (uint)seed, IgnoreEndOfGeneration = true })];
        List<int[]> alone = [];
        foreach (GenerateOptions one in options) alone.Add((await Capitals.Run(model, Capitals.UnitedStates, one)).Ids);
        (int[] Ids, string)[] together = await Task.WhenAll(options.Select(one => Task.Run(() => Capitals.Run(model, Capitals.UnitedStates, one)))).WaitAsync(s_never);
        Assert.Equal(alone, together.Select(one => one.Ids));
        Assert.True(alone.Select(ids => string.Join(',', ids)).Distinct().Count() > 4);
    }

    [Fact]
    public async Task Storms_of_cancelling_and_leaving_disturb_nobody()
    {
        await using BigModel model = await Capitals.Load(options: Together(8));
        await Task.WhenAll(Enumerable.Range(0, 16).Select(client => Task.Run(async () =>
        {
            var random = new Random(client);
            for (int round = 0; round < 12; round++)
            {
                Capitals.Reference asked = Capitals.References[random.Next(Capitals.References.Count)];
                int leaveAfter = random.Next(20);
                using var cancel = new CancellationTokenSource();
                switch (random.Next(4))
                {
                    case 0:
                        Assert.Equal(asked.Greedy, (await Capitals.Run(model, asked.Ids, Capitals.Greedy)).Ids);
                        break;
                    case 1:
                        await foreach (GenerationStep _ in model.GenerateAsync(asked.Ids, s_long)) if (leaveAfter-- == 0) break;
                        break;
                    case 2:
                        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
                        {
                            await foreach (GenerationStep _ in model.GenerateAsync(asked.Ids, s_long, cancel.Token)) if (leaveAfter-- == 0) await cancel.CancelAsync();
                        });
                        break;
                    default:
                        cancel.CancelAfter(random.Next(30));
                        try { await Capitals.Run(model, asked.Ids, s_long, cancel.Token); }
                        catch (OperationCanceledException error) { Assert.Equal(cancel.Token, error.CancellationToken); }
                        break;
                }
            }
        }))).WaitAsync(s_never);
        // Every place is free again.
        (int[] Ids, string)[] answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy))).WaitAsync(s_never);
        Assert.All(answers, answer => Assert.Equal(Capitals.References[0].Greedy, answer.Ids));
    }

    [Fact]
    public async Task A_slow_reader_holds_up_nobody_and_loses_nothing()
    {
        await using BigModel model = await Capitals.Load(options: Together(2));
        await using IAsyncEnumerator<GenerationStep> slow = model.GenerateAsync(Capitals.References[0].Ids, s_long).GetAsyncEnumerator();
        Assert.True(await slow.MoveNextAsync());
        List<int> ids = [slow.Current.Token];
        for (int i = 0; i < 5; i++) Assert.Equal(Capitals.References[1].Greedy, (await Capitals.Run(model, Capitals.References[1].Ids, Capitals.Greedy).WaitAsync(s_never)).Ids);
        while (await slow.MoveNextAsync()) ids.Add(slow.Current.Token);
        Assert.Equal(200, ids.Count);
        Assert.Equal(Capitals.References[0].Greedy, ids.Take(Capitals.References[0].Greedy.Length));
    }

    [Fact]
    public async Task Beyond_the_sessions_calls_wait_and_may_be_cancelled_there()
    {
        await using BigModel model = await Capitals.Load(options: Together(2));
        await using IAsyncEnumerator<GenerationStep> first = model.GenerateAsync(Capitals.References[0].Ids, s_long).GetAsyncEnumerator();
        await using IAsyncEnumerator<GenerationStep> second = model.GenerateAsync(Capitals.References[0].Ids, s_long).GetAsyncEnumerator();
        Assert.True(await first.MoveNextAsync());
        Assert.True(await second.MoveNextAsync());
        using var cancel = new CancellationTokenSource();
        Task cancelled = Capitals.Run(model, Capitals.References[0].Ids, s_long, cancel.Token);
        Task<(int[] Ids, string)> waiting = Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy);
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => cancelled).WaitAsync(s_never);
        Assert.False(waiting.IsCompleted);
        await second.DisposeAsync();
        Assert.Equal(Capitals.References[0].Greedy, (await waiting.WaitAsync(s_never)).Ids);
        Assert.True(await first.MoveNextAsync());
    }

    [Fact]
    public async Task Logits_and_generations_share_passes()
    {
        await using BigModel model = await Capitals.Load(options: Together(4));
        int[] ids = [.. Enumerable.Range(0, 100).Select(i => 10 + i * 7 % 900)];
        float[] alone = await Capitals.Logits(model, ids);
        Task<float[]> logits = Task.Run(() => Capitals.Logits(model, ids));
        Task<(int[] Ids, string)>[] answers = [.. Enumerable.Range(0, 6).Select(_ => Task.Run(() => Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy)))];
        float[] shared = await logits.WaitAsync(s_never);
        Assert.InRange(Nmse.Of(alone, shared), 0, 1e-9);
        Assert.All(await Task.WhenAll(answers).WaitAsync(s_never), answer => Assert.Equal(Capitals.References[0].Greedy, answer.Ids));
    }

    [Fact]
    public async Task Disposing_ends_all_of_them()
    {
        BigModel model = await Capitals.Load(options: Together(4));
        Task[] running = [.. Enumerable.Range(0, 8).Select(_ => Task.Run(() => Capitals.Run(model, Capitals.References[0].Ids, s_long with { MaxNewTokens = 240 })))];
        await foreach (GenerationStep _ in model.GenerateAsync(Capitals.References[0].Ids, Capitals.Greedy)) break;
        await model.DisposeAsync();
        foreach (Task run in running)
        {
            try { await run.WaitAsync(s_never); }
            catch (ObjectDisposedException) { }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(257)]
    public void Sessions_that_cannot_be_are_refused_with_the_number(int sessions)
    {
        ModelShape shape = Checkpoint.Open(TestFolders.Capitals).Describe(WeightType.AsStored);
        var error = Assert.Throws<InvalidOptionException>(() => Planner.Plan(shape, new Machine([], 1 << 30), Together(sessions)));
        Assert.Contains($"{sessions} sessions", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, 100)]
    [InlineData(3, 100)]
    [InlineData(8, 300)]
    public async Task The_KV_cache_of_several_has_the_bytes_of_the_plan(int sessions, int context)
    {
        Plan? plan = null;
        IReadOnlyList<string> lines = await EngineLog.During(async () =>
        {
            await using BigModel model = await Capitals.Load(options: Capitals.Small() with { Sessions = sessions, ContextLength = context });
            plan = model.Plan;
        });
        Assert.Equal(sessions, plan!.Sessions);
        Assert.Equal(plan, Plan.FromJson(plan.ToJson()));
        decimal allocated = lines.Select(line => KvLine().Match(line)).Where(match => match.Success).Sum(match => decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture));
        Assert.Equal(Math.Round(plan.KvBytes / 1024m / 1024m, 2), allocated);
    }

    [GeneratedRegex(@"KV buffer size = +([0-9.]+) MiB")]
    private static partial Regex KvLine();
}
