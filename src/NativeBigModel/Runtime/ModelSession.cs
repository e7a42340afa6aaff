using System.Runtime.CompilerServices;
using NativeBigModel.Runtime;

namespace NativeBigModel;

/// <summary>
/// One conversation on a model. It keeps what was computed of its tokens, so that a turn costs only its new ones. There may be more sessions than the plan computes together:
/// then the one that was used the longest ago gives its place away, and computes its tokens again when it is used. Its calls take their turns; other sessions' do not wait for them.
/// </summary>
public sealed class ModelSession : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1, 1);
    private int[] _tokens;
    private bool _disposed;

    internal ModelSession(BigModel model, int[] tokens) => (Model, _tokens) = (model, tokens);

    /// <summary>The model that it is on.</summary>
    public BigModel Model { get; }

    /// <summary>The tokens that were computed last: those of the last call, and its answer without the last token.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>Goes on with the conversation.</summary>
    /// <param name="allTokens">All of its tokens, from its beginning. What they have in common with <see cref="Tokens"/> is not computed again (<see cref="GenerationStep.ReusedTokens"/>).</param>
    /// <param name="options">How to choose tokens; null for the defaults.</param>
    /// <param name="cancel">Ends the stream with <see cref="OperationCanceledException"/>; the session stays usable.</param>
    /// <exception cref="ContextFullException">There are more tokens than the context may hold, and the options do not say what to drop.</exception>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(IReadOnlyList<int> allTokens, GenerateOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(allTokens);
        ObjectDisposedException.ThrowIf(_disposed, this);
        options ??= new GenerateOptions();
        if (allTokens.Count > Model.Plan.ContextLength && options.KeepWhenFull is null) throw new ContextFullException(allTokens.Count, Model.Plan.ContextLength);
        return Generate(Model.Check(allTokens, options), options, cancel);
    }

    /// <summary>A second conversation that goes on from here; neither changes the other.</summary>
    /// <param name="cancel">Ends the waiting for calls of this session that are running.</param>
    public async Task<ModelSession> ForkAsync(CancellationToken cancel = default)
    {
        await EnterAsync(cancel).ConfigureAwait(false);
        try
        {
            var fork = new ModelSession(Model, _tokens);
            await Model.Engine.InvokeAsync(() => Model.Engine.Slots.Fork(this, fork)).ConfigureAwait(false);
            return fork;
        }
        finally { _turn.Release(); }
    }

    /// <summary>Writes the session to a file that <see cref="BigModel.LoadSessionAsync"/> reads: its tokens, and their keys and values.</summary>
    /// <param name="path">The file; it is replaced once the new one is complete.</param>
    /// <param name="cancel">Ends the writing; no file is left behind.</param>
    /// <exception cref="UnsupportedModelException">The model's memory is of a kind that cannot be saved.</exception>
    public async Task SaveAsync(string path, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        await EnterAsync(cancel).ConfigureAwait(false);
        try
        {
            // Only what a sequence still holds has a state; the rest are tokens, to be computed again.
            (int held, NativeBuffer? state) = await Model.Engine.InvokeAsync(() => Model.Engine.Slots.Save(this)).ConfigureAwait(false);
            using (state) await Task.Run(() => SessionFile.Write(path, Model, _tokens, held, state, cancel), cancel).ConfigureAwait(false);
        }
        finally { _turn.Release(); }
    }

    /// <summary>Gives its place away. A call that is running goes on to its end.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        // The semaphore is not disposed of: calls that wait for it are still to see that the session is.
        try { await Model.Engine.InvokeAsync(() => Model.Engine.Slots.Disown(this)).ConfigureAwait(false); }
        catch (ObjectDisposedException) { }
    }

    internal static async Task<ModelSession> LoadAsync(BigModel model, string path, CancellationToken cancel)
    {
        (int[] tokens, int held, NativeBuffer? state) = await Task.Run(() => SessionFile.Read(path, model, cancel), cancel).ConfigureAwait(false);
        using (state)
        {
            var session = new ModelSession(model, tokens);
            if (state is null) return session;
            bool restored = await model.Engine.InvokeAsync(() => model.Engine.Slots.Load(session, tokens.AsSpan(0, held), state)).ConfigureAwait(false);
            return restored ? session : throw new SessionFileException(Path.GetFileName(path), $"llama.cpp refuses its {state.Length} bytes of keys and values");
        }
    }

    private async IAsyncEnumerable<GenerationStep> Generate(int[] tokens, GenerateOptions options, [EnumeratorCancellation] CancellationToken cancel)
    {
        await EnterAsync(cancel).ConfigureAwait(false);
        GenerationJob? job = null;
        Task? settled = null;
        try
        {
            IAsyncEnumerable<GenerationStep> steps = Model.Stream(stop => job = Model.NewGeneration(tokens, options, this, stop), cancel);
            await foreach (GenerationStep step in steps.ConfigureAwait(false)) yield return step;
            await (settled = SettleAsync(job)).ConfigureAwait(false);
        }
        // A reader that leaves early does not wait for the pass that is running, but the next call does.
        finally { _ = settled ?? SettleAsync(job); }
    }

    private async Task SettleAsync(GenerationJob? job)
    {
        if (job is not null)
        {
            await job.Ended.ConfigureAwait(false);
            _tokens = [.. job.Tokens];
        }
        _turn.Release();
    }

    private async Task EnterAsync(CancellationToken cancel)
    {
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        if (!_disposed) return;
        _turn.Release();
        throw new ObjectDisposedException(nameof(ModelSession));
    }
}
