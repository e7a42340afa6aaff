namespace NativeBigModel.Tests.Runtime;

/// <summary>Turns, cancelling, disposing: whatever happens, the model stays usable until it is disposed of, and nothing hangs.</summary>
[Collection(EngineGroup.Name)]
public class LifetimeTests(Capitals capitals)
{
    private static readonly TimeSpan s_never = TimeSpan.FromSeconds(30);
    private static readonly GenerateOptions s_long = Capitals.Greedy with { MaxNewTokens = 200, IgnoreEndOfGeneration = true };

    private static Capitals.Reference First => Capitals.References[0];

    [Fact]
    public async Task Leaving_the_answer_early_frees_the_model_for_the_next_call()
    {
        await foreach (GenerationStep _ in capitals.Model.GenerateAsync(Capitals.UnitedStates, s_long)) break;
        await RequireUsable(capitals.Model);
    }

    [Fact]
    public async Task Calls_at_the_same_time_take_their_turns()
    {
        Task<(int[] Ids, string Text)>[] calls = [.. Capitals.References.Concat(Capitals.References).Select(one => Capitals.Run(capitals.Model, one.Ids, Capitals.Greedy))];
        (int[] Ids, string Text)[] answers = await Task.WhenAll(calls).WaitAsync(s_never);
        Assert.Equal(Capitals.References.Concat(Capitals.References).Select(one => one.Greedy), answers.Select(answer => answer.Ids));
    }

    [Fact]
    public async Task Cancelled_before_it_begins_it_gives_the_callers_token()
    {
        using var cancel = new CancellationTokenSource();
        await cancel.CancelAsync();
        await RequireCancelled(() => Capitals.Run(capitals.Model, First.Ids, s_long, cancel.Token), cancel);
    }

    [Fact]
    public async Task Cancelled_during_a_long_prompt_it_gives_the_callers_token()
    {
        await using BigModel model = await Capitals.Load(options: Capitals.Small() with { ContextLength = 512, BatchSize = 1 });
        int[] prompt = [.. Enumerable.Repeat(304, 512)];
        using var cancel = new CancellationTokenSource();
        Task run = Capitals.Run(model, prompt, s_long, cancel.Token);
        cancel.CancelAfter(TimeSpan.FromMilliseconds(2));
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => run).WaitAsync(s_never);
        Assert.Equal(cancel.Token, error.CancellationToken);
        await RequireUsable(model);
    }

    [Fact]
    public async Task Cancelled_between_tokens_no_step_follows()
    {
        using var cancel = new CancellationTokenSource();
        int steps = 0;
        await RequireCancelled(async () =>
        {
            await foreach (GenerationStep _ in capitals.Model.GenerateAsync(First.Ids, s_long, cancel.Token))
            {
                if (++steps == 3) await cancel.CancelAsync();
            }
        }, cancel);
        Assert.Equal(3, steps);
    }

    [Fact]
    public async Task Cancelled_through_the_enumeration_it_ends_as_well()
    {
        using var cancel = new CancellationTokenSource();
        await RequireCancelled(async () =>
        {
            await foreach (GenerationStep _ in capitals.Model.GenerateAsync(First.Ids, s_long).WithCancellation(cancel.Token)) await cancel.CancelAsync();
        }, cancel);
    }

    [Fact]
    public async Task Cancelled_while_waiting_for_its_turn_it_does_not_disturb_the_one_before()
    {
        await using IAsyncEnumerator<float[]> first = capitals.Model.ComputeLogitsAsync([.. Enumerable.Repeat(304, 64)]).GetAsyncEnumerator();
        Assert.True(await first.MoveNextAsync());
        using var cancel = new CancellationTokenSource();
        Task waiting = Capitals.Run(capitals.Model, First.Ids, s_long, cancel.Token);
        await cancel.CancelAsync();
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting).WaitAsync(s_never);
        Assert.Equal(cancel.Token, error.CancellationToken);
        int rows = 1;
        while (await first.MoveNextAsync()) rows++;
        Assert.Equal(64, rows);
    }

    [Fact]
    public async Task Disposing_during_a_generation_ends_it()
    {
        BigModel model = await Capitals.Load();
        int steps = 0;
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Task.Run(async () =>
        {
            await foreach (GenerationStep _ in model.GenerateAsync(First.Ids, s_long))
            {
                if (++steps == 1) await model.DisposeAsync();
            }
        }).WaitAsync(s_never));
        Assert.Equal(1, steps);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Capitals.Run(model, First.Ids, s_long));
    }

    [Fact]
    public async Task Disposing_between_rows_of_logits_ends_them()
    {
        BigModel model = await Capitals.Load();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Task.Run(async () =>
        {
            await foreach (float[] _ in model.ComputeLogitsAsync([.. Enumerable.Repeat(304, 200)])) await model.DisposeAsync();
        }).WaitAsync(s_never));
    }

    [Fact]
    public async Task Calls_that_wait_for_their_turn_end_when_the_model_is_disposed_of()
    {
        BigModel model = await Capitals.Load();
        Task<(int[], string)>[] generations = [.. Enumerable.Range(0, 6).Select(_ => Task.Run(() => Capitals.Run(model, First.Ids, s_long)))];
        Task<float[]>[] logits = [.. Enumerable.Range(0, 6).Select(_ => Task.Run(() => Capitals.Logits(model, [.. Enumerable.Repeat(304, 200)])))];
        await Task.Yield();
        await model.DisposeAsync().AsTask().WaitAsync(s_never);
        foreach (Task one in (Task[])[.. generations, .. logits])
        {
            Exception? error = await Record.ExceptionAsync(() => one.WaitAsync(s_never));
            Assert.True(error is null or ObjectDisposedException, $"{error}");
        }
    }

    [Fact]
    public async Task Disposing_twice_or_at_once_is_as_good_as_once()
    {
        BigModel model = await Capitals.Load();
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => model.DisposeAsync().AsTask()))).WaitAsync(s_never);
        await model.DisposeAsync();
        // The synchronous form is what a caller without await has.
#pragma warning disable CA1849, xUnit1031
        model.Dispose();
#pragma warning restore CA1849, xUnit1031
    }

    [Fact]
    public async Task Every_use_after_disposing_is_told()
    {
        BigModel model = await Capitals.Load();
        await model.DisposeAsync();
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Capitals.Run(model, First.Ids, s_long));
        await Assert.ThrowsAsync<ObjectDisposedException>(() => Capitals.Logits(model, First.Ids));
        Assert.Throws<ObjectDisposedException>(() => model.GenerateAsync(Capitals.UnitedStates));
        Assert.Throws<ObjectDisposedException>(() => model.Tokenizer.Encode("a"));
        Assert.Throws<ObjectDisposedException>(() => model.Tokenizer.Decode([5]));
        Assert.Throws<ObjectDisposedException>(() => model.Tokenizer.IsEndOfGeneration(1));
    }

    [Fact]
    public async Task A_tokenizer_of_its_own_is_told_apart_after_disposing()
    {
        var tokenizer = Tokenizer.Open(capitals.Model.Checkpoint);
        Assert.Equal(First.Ids, tokenizer.Encode(Capitals.UnitedStates));
        tokenizer.Dispose();
        tokenizer.Dispose();
        Assert.Throws<ObjectDisposedException>(() => tokenizer.Encode("a"));
        await RequireUsable(capitals.Model);
    }

    [Fact]
    public async Task Prompts_that_cannot_be_computed_are_refused_with_the_numbers()
    {
        int[] tooLong = [.. Enumerable.Repeat(304, 257)];
        await Refused(tooLong, "257");
        await Refused([], "no tokens");
        await Refused([0, 1024], "1024");
        await Refused([-1], "-1");
        Assert.Throws<InvalidOptionException>(() => capitals.Model.Tokenizer.Decode([1024]));
        Assert.Throws<InvalidOptionException>(() => capitals.Model.Tokenizer.IsEndOfGeneration(1024));
        Assert.Throws<InvalidOptionException>(() => capitals.Model.Tokenizer.IsEndOfGeneration(-1));
        (int[] ids, _) = await Capitals.Run(capitals.Model, tooLong[1..], s_long);
        Assert.Single(ids);
    }

    private async Task Refused(int[] prompt, string number)
    {
        var generation = await Assert.ThrowsAsync<InvalidOptionException>(() => Capitals.Run(capitals.Model, prompt, s_long));
        var logits = await Assert.ThrowsAsync<InvalidOptionException>(() => Capitals.Logits(capitals.Model, prompt));
        Assert.Contains(number, generation.Message, StringComparison.Ordinal);
        Assert.Equal(generation.Message, logits.Message);
    }

    private async Task RequireCancelled(Func<Task> work, CancellationTokenSource cancel)
    {
        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(work).WaitAsync(s_never);
        Assert.Equal(cancel.Token, error.CancellationToken);
        await RequireUsable(capitals.Model);
    }

    private static async Task RequireUsable(BigModel model)
    {
        (int[] ids, _) = await Capitals.Run(model, First.Ids, Capitals.Greedy).WaitAsync(s_never);
        Assert.Equal(First.Greedy, ids);
    }
}
