using System.Runtime.CompilerServices;
using System.Threading.Channels;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>A plan that was carried out: a model in memory that generates. Calls may come from any thread and take their turns.</summary>
public sealed class BigModel : IAsyncDisposable, IDisposable
{
    // Tokens, or rows of logits, that are computed ahead of the caller.
    private const int ItemsAhead = 16;

    private readonly EngineModel _model;
    private readonly EngineContext _context;
    private readonly ModelShape _shape;
    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly CancellationTokenSource _disposing = new();
    private bool _disposed;

    private BigModel(Checkpoint checkpoint, Plan plan, ModelShape shape, EngineModel model)
    {
        (Checkpoint, Plan, _shape, _model) = (checkpoint, plan, shape, model);
        Tokenizer = new Tokenizer(model, checkpoint, ownsModel: false);
        _context = EngineContext.Create(model, plan, Tokenizer.TokenCount);
    }

    /// <summary>What was loaded.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>Where it lives.</summary>
    public Plan Plan { get; }

    /// <summary>The model's tokenizer; it lives as long as the model.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>What streaming has done so far, or null where the plan streams nothing.</summary>
    public StreamingStats? Streaming
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return _model.Streaming is { } device ? StreamingStats.Of(device) : null;
        }
    }

    /// <summary>Opens, plans for this machine, and loads a Hugging Face folder or a GGUF file as it is.</summary>
    /// <param name="path">The folder or file.</param>
    /// <param name="options">What to plan for; null for everything that is free.</param>
    /// <param name="progress">Told how far the load is, from any thread.</param>
    /// <param name="cancel">Stops the load within a fraction of a second; everything is given back.</param>
    /// <exception cref="BigModelException">Bad input, too little memory, or a failing engine, each as its own type.</exception>
    public static async Task<BigModel> LoadAsync(string path, PlanOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        return await Task.Run(() =>
        {
            Checkpoint checkpoint = Checkpoint.Open(path);
            options ??= new PlanOptions();
            Plan plan = checkpoint.Plan(Machine.Probe(), options);
            return Load(checkpoint, plan, progress, cancel);
        }, cancel).ConfigureAwait(false);
    }

    /// <summary>Carries out a plan that was made for this checkpoint.</summary>
    /// <inheritdoc cref="LoadAsync(string, PlanOptions?, IProgress{LoadProgress}?, CancellationToken)"/>
    public static Task<BigModel> LoadAsync(Checkpoint checkpoint, Plan plan, IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(plan);
        return Task.Run(() => Load(checkpoint, plan, progress, cancel), cancel);
    }

    /// <summary>Generates text after a prompt.</summary>
    /// <param name="prompt">The text; the tokens that the model's own rules put around it are added.</param>
    /// <param name="options">How to choose tokens; null for the defaults.</param>
    /// <param name="cancel">Ends the stream with <see cref="OperationCanceledException"/>, during the prompt as well.</param>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(string prompt, GenerateOptions? options = null, CancellationToken cancel = default) =>
        GenerateAsync(Tokenizer.Encode(prompt), options, cancel);

    /// <summary>Generates after the tokens of a prompt.</summary>
    /// <inheritdoc cref="GenerateAsync(string, GenerateOptions?, CancellationToken)"/>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(IReadOnlyList<int> prompt, GenerateOptions? options = null, CancellationToken cancel = default)
    {
        options ??= new GenerateOptions();
        options.Validate();
        int[] tokens = Check(prompt);
        return Stream<GenerationStep>((emit, stop) => new Generation(_context, Tokenizer, options).Run(tokens, emit, stop), cancel);
    }

    /// <summary>Computes the logits at every position of a sequence.</summary>
    /// <param name="tokens">The sequence, as it stands; nothing is added.</param>
    /// <param name="cancel">Ends the stream.</param>
    /// <returns>For each token, one float per vocabulary entry: the logits of the token that follows it.</returns>
    public IAsyncEnumerable<float[]> ComputeLogitsAsync(IReadOnlyList<int> tokens, CancellationToken cancel = default)
    {
        int[] ids = Check(tokens);
        return Stream<float[]>((emit, stop) =>
        {
            _context.Clear();
            for (int done = 0; done < ids.Length;)
            {
                int count = _context.AppendWithLogits(ids.AsSpan(done), stop);
                for (int i = 0; i < count; i++) emit(_context.Logits(i).ToArray());
                done += count;
            }
        }, cancel);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Cancels what is running, waits for it, and gives back every byte.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _turn.WaitAsync().ConfigureAwait(false);
        _context.Dispose();
        _model.Dispose();
        _turn.Dispose();
        _disposing.Dispose();
    }

    private static BigModel Load(Checkpoint checkpoint, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (!checkpoint.HasWeights) throw new CheckpointException(System.IO.Path.GetFileName(checkpoint.Path), "weights", "the checkpoint holds no weight files, only a configuration");
        ModelDefinition definition = checkpoint.Define(plan.WeightType, preparedText: true);
        LoadGate.Require(plan, definition.Shape);
        EngineModel model = EngineModel.Load(definition, plan, progress, cancel);
        try
        {
            progress?.Report(new LoadProgress(LoadPhase.Context, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            var loaded = new BigModel(checkpoint, plan, definition.Shape, model);
            progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            return loaded;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private int[] Check(IReadOnlyList<int> tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ObjectDisposedException.ThrowIf(_disposed, this);
        Tokenizer.RequireKnown(tokens);
        if (tokens.Count == 0) throw new InvalidOptionException("the prompt has no tokens, and at least 1 is needed");
        if (tokens.Count > Plan.ContextLength && _shape.ContextCap is { } cap && tokens.Count > _shape.ContextLength) throw new UnsupportedModelException($"the prompt has {tokens.Count} tokens: {cap}");
        if (tokens.Count > Plan.ContextLength) throw new InvalidOptionException($"the prompt has {tokens.Count} tokens, and the context was planned for {Plan.ContextLength}");
        return [.. tokens];
    }

    /// <summary>Runs <paramref name="work"/> when its turn has come and hands on what it emits; it waits where the caller does not keep up.</summary>
    private async IAsyncEnumerable<T> Stream<T>(Action<Action<T>, CancellationToken> work, [EnumeratorCancellation] CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Channel<T> items = Channel.CreateBounded<T>(new BoundedChannelOptions(ItemsAhead) { SingleReader = true, SingleWriter = true });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, _disposing.Token);
        void Emit(T item)
        {
            if (!items.Writer.TryWrite(item)) items.Writer.WriteAsync(item, stop.Token).AsTask().GetAwaiter().GetResult();
        }
        Task running = InTurn(() =>
        {
            try { work(Emit, stop.Token); }
            finally { items.Writer.TryComplete(); }
        }, stop.Token);
        try
        {
            while (await WaitForItem(items, running).ConfigureAwait(false))
            {
                while (items.Reader.TryRead(out T? item))
                {
                    cancel.ThrowIfCancellationRequested();
                    ObjectDisposedException.ThrowIf(_disposed, this);
                    yield return item;
                }
            }
        }
        finally
        {
            // The caller may have left the loop early; the context must be free before the next turn.
            await stop.CancelAsync().ConfigureAwait(false);
            await running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
        await Rethrow(running, cancel).ConfigureAwait(false);
    }

    // The engine computes on a thread of its own, so that a caller's thread pool is never held for the length of a generation.
    private async Task InTurn(Action work, CancellationToken cancel)
    {
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try
        {
            await Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false);
        }
        finally { _turn.Release(); }
    }

    private static async Task<bool> WaitForItem<T>(Channel<T> items, Task work)
    {
        Task<bool> item = items.Reader.WaitToReadAsync().AsTask();
        await Task.WhenAny(item, work).ConfigureAwait(false);
        // The work can end without an item: cancelled while it waited for its turn.
        return work.IsCompleted ? items.Reader.TryPeek(out _) : await item.ConfigureAwait(false);
    }

    private async Task Rethrow(Task work, CancellationToken cancel)
    {
        try { await work.ConfigureAwait(false); }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested && _disposed) { throw new ObjectDisposedException(nameof(BigModel)); }
        catch (OperationCanceledException error) when (cancel.IsCancellationRequested) { throw new OperationCanceledException(error.Message, error, cancel); }
    }
}
