using System.Buffers.Binary;
using System.Security.Cryptography;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Conversations: what is not computed again, forks, files, and what happens when the context is full.</summary>
[Collection(EngineGroup.Name)]
public class SessionTests(Capitals capitals)
{
    private static Capitals.Reference First => Capitals.References[0];

    private static PlanOptions Exact(int sessions = 2) => Capitals.Exact(256) with { Sessions = sessions };

    [Fact]
    public async Task A_turn_computes_its_new_tokens_only()
    {
        await using BigModel model = await Capitals.Load(options: Exact());
        await using ModelSession session = model.CreateSession();
        GenerationStep[] first = await Steps(session, First.Ids);
        Assert.Equal(0, first[0].ReusedTokens);
        Assert.Equal(First.Greedy, Ids(first));
        Assert.Equal([.. First.Ids, .. First.Greedy[..^1]], session.Tokens);
        int[] next = [.. First.Ids, .. First.Greedy, .. Capitals.References[1].Ids];
        GenerationStep[] second = await Steps(session, next);
        Assert.Equal(First.Ids.Length + First.Greedy.Length - 1, second[^1].ReusedTokens);
        Assert.Equal(await Fresh(model, next), Ids(second));
    }

    [Fact]
    public async Task An_edited_turn_keeps_what_comes_before_the_edit()
    {
        await using BigModel model = await Capitals.Load(options: Exact());
        await using ModelSession session = model.CreateSession();
        int[] prompt = [.. Enumerable.Range(10, 50)];
        await Steps(session, prompt);
        int[] edited = [.. prompt[..30], 7, .. prompt[31..]];
        GenerationStep[] steps = await Steps(session, edited);
        Assert.Equal(30, steps[0].ReusedTokens);
        Assert.Equal(await Fresh(model, edited), Ids(steps));
        // The same again: only the last token is computed, for its logits.
        Assert.Equal(edited.Length - 1, (await Steps(session, edited))[0].ReusedTokens);
    }

    [Fact]
    public async Task Without_a_session_a_common_beginning_is_taken_from_whoever_has_it()
    {
        await using BigModel model = await Capitals.Load(options: Exact(3));
        int[] system = [.. Enumerable.Range(10, 60)];
        await using IAsyncEnumerator<GenerationStep> busy = model.GenerateAsync([.. system, 5], Capitals.Greedy with { MaxNewTokens = 100, IgnoreEndOfGeneration = true }).GetAsyncEnumerator();
        Assert.True(await busy.MoveNextAsync());
        foreach (int question in (int[])[6, 7, 8])
        {
            List<GenerationStep> steps = [];
            await foreach (GenerationStep step in model.GenerateAsync([.. system, question, 9], Capitals.Greedy)) steps.Add(step);
            Assert.InRange(steps[0].ReusedTokens, 60, 61);
            Assert.Equal(await Fresh(model, [.. system, question, 9]), Ids(steps));
        }
        List<int> rest = [busy.Current.Token];
        while (await busy.MoveNextAsync()) rest.Add(busy.Current.Token);
        Assert.Equal(await Fresh(model, [.. system, 5], 100), rest);
    }

    [Fact]
    public async Task Without_reuse_nothing_is_taken_over()
    {
        for (int i = 0; i < 2; i++)
        {
            await foreach (GenerationStep step in capitals.Model.GenerateAsync(First.Ids, Capitals.Greedy with { ReusePrefix = false })) Assert.Equal(0, step.ReusedTokens);
        }
    }

    [Fact]
    public async Task More_sessions_than_places_stay_right()
    {
        await using BigModel model = await Capitals.Load(options: Exact());
        ModelSession[] sessions = [.. Enumerable.Range(0, 5).Select(_ => model.CreateSession())];
        for (int turn = 0; turn < 2; turn++)
        {
            await Task.WhenAll(sessions.Select(async (session, i) =>
            {
                Capitals.Reference asked = Capitals.References[i % Capitals.References.Count];
                Assert.Equal(asked.Greedy, Ids(await Steps(session, asked.Ids)));
            }));
        }
        foreach (ModelSession session in sessions) await session.DisposeAsync();
    }

    [Fact]
    public async Task Calls_on_one_session_take_their_turns()
    {
        await using BigModel model = await Capitals.Load(options: Exact());
        await using ModelSession session = model.CreateSession();
        GenerationStep[][] answers = await Task.WhenAll(Enumerable.Range(0, 6).Select(i => Steps(session, Capitals.References[i % 3].Ids)));
        for (int i = 0; i < answers.Length; i++) Assert.Equal(Capitals.References[i % 3].Greedy, Ids(answers[i]));
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task A_fork_goes_on_from_the_same_place_and_changes_nothing(int places)
    {
        await using BigModel model = await Capitals.Load(options: Exact(places));
        await using ModelSession session = model.CreateSession();
        int[] prompt = [.. Enumerable.Range(10, 50)];
        await Steps(session, prompt);
        await using ModelSession fork = await session.ForkAsync();
        Assert.Equal(session.Tokens, fork.Tokens);
        int[] left = [.. prompt, 5, 6], right = [.. prompt, 7, 8];
        GenerationStep[][] both = await Task.WhenAll(Steps(session, left), Steps(fork, right));
        Assert.Equal(await Fresh(model, left), Ids(both[0]));
        Assert.Equal(await Fresh(model, right), Ids(both[1]));
        Assert.Equal(50, both[0][0].ReusedTokens);
        if (places > 1) Assert.Equal(50, both[1][0].ReusedTokens);
    }

    [Theory]
    [InlineData(TensorType.F32, false)]
    [InlineData(TensorType.F16, true)]
    [InlineData(TensorType.Q8_0, true)]
    public async Task A_saved_session_goes_on_in_another_process_where_it_was(TensorType type, bool flashAttention)
    {
        using var folder = new TempFolder();
        PlanOptions options = Exact() with { KvType = type, FlashAttention = flashAttention };
        int[] prompt = [.. Enumerable.Range(10, 50)], next = [.. prompt, 5, 6];
        await using (BigModel model = await Capitals.Load(options: options))
        {
            await using ModelSession session = model.CreateSession();
            await Steps(session, prompt);
            await session.SaveAsync(folder["a.session"]);
        }
        await using BigModel other = await Capitals.Load(options: options with { Sessions = 3 });
        await using ModelSession loaded = await other.LoadSessionAsync(folder["a.session"]);
        GenerationStep[] steps = await Steps(loaded, next);
        Assert.Equal(50, steps[0].ReusedTokens);
        Assert.Equal(await Fresh(other, next), Ids(steps));
        Assert.Equal(["a.session"], Directory.GetFiles(folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_session_that_has_lost_its_place_is_saved_as_tokens()
    {
        using var folder = new TempFolder();
        await using BigModel model = await Capitals.Load(options: Exact(1));
        await using ModelSession session = model.CreateSession();
        await Steps(session, First.Ids);
        await Capitals.Run(model, Capitals.References[1].Ids, Capitals.Greedy);
        await session.SaveAsync(folder["a.session"]);
        await using ModelSession loaded = await model.LoadSessionAsync(folder["a.session"]);
        Assert.Equal(session.Tokens, loaded.Tokens);
        Assert.Equal(First.Greedy, Ids(await Steps(loaded, First.Ids)));
    }

    [Fact]
    public async Task Files_of_other_models_and_damaged_files_are_refused()
    {
        using var folder = new TempFolder();
        string path = folder["a.session"];
        await using ModelSession session = capitals.Model.CreateSession();
        await Steps(session, First.Ids);
        await session.SaveAsync(path);
        await using (BigModel other = await Capitals.Load(options: Capitals.Small() with { KvType = TensorType.F32 }))
            Assert.Contains("KV type", (await Assert.ThrowsAsync<SessionFileException>(() => other.LoadSessionAsync(path))).Message, StringComparison.Ordinal);
        await using (BigModel small = await Capitals.Load(options: Capitals.Small() with { ContextLength = 8 }))
            Assert.Equal(8, (await Assert.ThrowsAsync<ContextFullException>(() => small.LoadSessionAsync(path))).ContextLength);
        byte[] bytes = File.ReadAllBytes(path);
        var random = new Random(3);
        for (int i = 0; i < 60; i++)
        {
            byte[] damaged = i % 2 == 0 ? bytes[..random.Next(bytes.Length)] : [.. bytes];
            if (i % 2 == 1) damaged[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            await Refused(damaged);
        }
        // With a checksum that is right, what llama.cpp would read still is not believed.
        for (int i = 0; i < 200; i++)
        {
            byte[] crafted = [.. bytes];
            int at = i < 120 ? 4 * (i + (bytes.Length - StateBytes(bytes) - 32) / 4) : random.Next(8, bytes.Length - 40);
            BinaryPrimitives.WriteUInt32LittleEndian(crafted.AsSpan(Math.Min(at, bytes.Length - 40)), i % 3 == 0 ? int.MaxValue : i % 3 == 1 ? uint.MaxValue : (uint)random.Next());
            SHA256.HashData(crafted.AsSpan(0, crafted.Length - 32), crafted.AsSpan(crafted.Length - 32));
            await File.WriteAllBytesAsync(path, crafted);
            // A changed key or value is another state, and as good as any.
            try { await (await capitals.Model.LoadSessionAsync(path)).DisposeAsync(); }
            catch (BigModelException) { }
        }
        Assert.Equal(First.Greedy, (await Capitals.Run(capitals.Model, First.Ids, Capitals.Greedy)).Ids);

        async Task Refused(byte[] content)
        {
            await File.WriteAllBytesAsync(path, content);
            await Assert.ThrowsAsync<SessionFileException>(() => capitals.Model.LoadSessionAsync(path));
        }
    }

    [Fact]
    public async Task A_full_context_is_refused_with_the_numbers_or_drops_what_is_old()
    {
        await using BigModel model = await Capitals.Load(options: Exact() with { ContextLength = 32 });
        await using ModelSession session = model.CreateSession();
        int[] prompt = [.. Enumerable.Range(10, 40)];
        var full = Assert.Throws<ContextFullException>(() => session.GenerateAsync(prompt));
        Assert.Equal((40, 32), (full.Tokens, full.ContextLength));
        GenerateOptions shifting = Capitals.Greedy with { MaxNewTokens = 100, IgnoreEndOfGeneration = true, KeepWhenFull = 4 };
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in session.GenerateAsync(prompt, shifting)) steps.Add(step);
        Assert.Equal(100, steps.Count);
        Assert.Equal(FinishReason.MaxNewTokens, steps[^1].Finish);
        Assert.Equal(prompt[..4], session.Tokens.Take(4));
        Assert.InRange(session.Tokens.Count, 5, 32);
        // What it says after a drop is what the model says of the tokens that are left.
        int[] left = [.. session.Tokens];
        Assert.Equal(steps[^1].Token, (await Capitals.Run(model, left, Capitals.Greedy with { MaxNewTokens = 1 })).Ids[0]);
        Assert.Throws<InvalidOptionException>(() => session.GenerateAsync(prompt, shifting with { KeepWhenFull = 31 }));
    }

    [Fact]
    public async Task A_cancelled_session_goes_on_from_what_it_has()
    {
        await using BigModel model = await Capitals.Load(options: Exact());
        await using ModelSession session = model.CreateSession();
        using var cancel = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (GenerationStep _ in session.GenerateAsync(First.Ids, Capitals.Greedy, cancel.Token)) await cancel.CancelAsync();
        });
        GenerationStep[] steps = await Steps(session, First.Ids);
        Assert.Equal(First.Ids.Length - 1, steps[0].ReusedTokens);
        Assert.Equal(First.Greedy, Ids(steps));
    }

    [Fact]
    public async Task A_disposed_session_says_so_and_so_does_one_of_a_disposed_model()
    {
        BigModel model = await Capitals.Load(options: Exact());
        ModelSession session = model.CreateSession(), other = model.CreateSession();
        await session.DisposeAsync();
        await session.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => session.GenerateAsync(First.Ids));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => session.ForkAsync());
        ModelSession inUse = model.CreateSession();
        await foreach (GenerationStep _ in inUse.GenerateAsync(First.Ids, Capitals.Greedy)) await inUse.DisposeAsync();
        await model.DisposeAsync();
        Assert.Throws<ObjectDisposedException>(() => other.GenerateAsync(First.Ids));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => other.ForkAsync());
        Assert.Throws<ObjectDisposedException>(() => model.CreateSession());
        await other.DisposeAsync();
    }

    private static int StateBytes(byte[] file)
    {
        int length = BinaryPrimitives.ReadInt32LittleEndian(file.AsSpan(8));
        using var header = System.Text.Json.JsonDocument.Parse(file.AsMemory(12, length));
        return header.RootElement.GetProperty("state_bytes").GetInt32();
    }

    private static async Task<GenerationStep[]> Steps(ModelSession session, int[] tokens)
    {
        List<GenerationStep> steps = [];
        await foreach (GenerationStep step in session.GenerateAsync(tokens, Capitals.Greedy)) steps.Add(step);
        return [.. steps];
    }

    private static int[] Ids(IEnumerable<GenerationStep> steps) => [.. steps.Select(step => step.Token)];

    private static async Task<int[]> Fresh(BigModel model, int[] tokens, int count = 40) =>
        (await Capitals.Run(model, tokens, Capitals.Greedy with { ReusePrefix = false, MaxNewTokens = count, IgnoreEndOfGeneration = count != 40 })).Ids;
}
