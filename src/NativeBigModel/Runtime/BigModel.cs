using System.Runtime.CompilerServices;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>
/// A plan that was carried out: a model in memory that generates. Calls may come from any thread; as many as <see cref="PlanOptions.Sessions"/> are computed together,
/// others wait, first come first served.
/// </summary>
public sealed class BigModel : IAsyncDisposable, IDisposable
{
    private readonly EngineModel _model;
    private readonly ModelShape _shape;

    // One of the two: what goes on from a text, or what reads one and writes another.
    private readonly Engine? _engine;
    private readonly EncoderDecoder? _encoderDecoder;
    private bool _disposed;

    private BigModel(Checkpoint checkpoint, Plan plan, ModelDefinition definition, EngineModel model)
    {
        ModelShape shape = definition.Shape;
        (Checkpoint, Plan, _shape, _model) = (checkpoint, plan, shape, model);
        (VectorLength, DefaultPooling) = (LlamaModelApi.LlamaModelNEmbdOut(model.Handle), TextVectors.DefaultPooling(definition));
        Tokenizer = new Tokenizer(model, checkpoint.Text, ownsModel: false);
        if (shape.Kind == ModelKind.EncoderDecoder) _encoderDecoder = new EncoderDecoder(model, plan, Tokenizer) { Streaming = StreamingNow };
        else _engine = new Engine(EngineContext.Create(model, plan, KvCache.SharesCells(shape, plan.Sessions), Tokenizer.TokenCount));
    }

    /// <exception cref="UnsupportedModelException">The model has an encoder.</exception>
    internal Engine Engine => _engine ?? throw new UnsupportedModelException($"{_shape.Name}: a model that reads one text and writes another has no sessions and no guesses ahead");

    internal ModelShape Shape => _shape;

    /// <summary>What was loaded.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>Where it lives.</summary>
    public Plan Plan { get; }

    /// <summary>The model's tokenizer; it lives as long as the model.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Elements of a vector of <see cref="EmbedAsync(string, Pooling?, bool, CancellationToken)"/>.</summary>
    public int VectorLength { get; }

    /// <summary>The pooling that the model's authors name, or that of the last token.</summary>
    public Pooling DefaultPooling { get; }

    /// <summary>What streaming has done so far, or null where the plan streams nothing.</summary>
    public StreamingStats? Streaming
    {
        get
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            return StreamingNow();
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
            Task<Machine> machine = Task.Run(Machine.Probe, CancellationToken.None); // the engine's libraries are loaded beside
            Checkpoint checkpoint;
            try { checkpoint = Checkpoint.Open(path); }
            finally { Task.WaitAny(machine); } // a process that ends while they are loaded may crash
            Plan plan = checkpoint.Plan(machine.GetAwaiter().GetResult(), options ?? new());
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

    /// <summary>Generates text after a prompt; with a model that reads one text and writes another, its answer to the prompt.</summary>
    /// <param name="prompt">The text; the tokens that the model's own rules put around it are added.</param>
    /// <param name="options">How to choose tokens; null for the defaults.</param>
    /// <param name="cancel">Ends the stream with <see cref="OperationCanceledException"/>, during the prompt as well.</param>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(string prompt, GenerateOptions? options = null, CancellationToken cancel = default) =>
        GenerateAsync(Tokenizer.Encode(prompt), options, cancel);

    /// <summary>Generates after the tokens of a prompt.</summary>
    /// <inheritdoc cref="GenerateAsync(string, GenerateOptions?, CancellationToken)"/>
    public IAsyncEnumerable<GenerationStep> GenerateAsync(IReadOnlyList<int> prompt, GenerateOptions? options = null, CancellationToken cancel = default)
    {
        int[] tokens = Check(prompt, options ??= new GenerateOptions());
        if (_encoderDecoder is not null)
        {
            if (!options.AnswerStart.IsDefaultOrEmpty) Check(options.AnswerStart, null);
            return _encoderDecoder.GenerateAsync(tokens, options, cancel);
        }
        if (!options.AnswerStart.IsDefaultOrEmpty) throw new InvalidOptionException($"{nameof(options.AnswerStart)}: this model goes on from its prompt, and has no encoder to read it");
        return Stream(stop => NewGeneration(tokens, options, null, stop), cancel);
    }

    /// <summary>Begins a conversation: what it has computed of its tokens is not computed again. It costs nothing until it is used.</summary>
    public ModelSession CreateSession()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        _ = Engine;
        return new ModelSession(this, []);
    }

    /// <summary>Goes on with a conversation that <see cref="ModelSession.SaveAsync"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <param name="cancel">Ends the reading.</param>
    /// <exception cref="SessionFileException">The file is damaged, or holds a session of another model.</exception>
    /// <exception cref="ContextFullException">It has more tokens than this model's plan allows.</exception>
    public Task<ModelSession> LoadSessionAsync(string path, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ObjectDisposedException.ThrowIf(_disposed, this);
        _ = Engine;
        return ModelSession.LoadAsync(this, path, cancel);
    }

    /// <summary>Computes the logits at every position of a sequence.</summary>
    /// <param name="tokens">The sequence, as it stands; nothing is added.</param>
    /// <param name="cancel">Ends the stream.</param>
    /// <returns>For each token, one float per vocabulary entry: the logits of the token that follows it.</returns>
    public IAsyncEnumerable<float[]> ComputeLogitsAsync(IReadOnlyList<int> tokens, CancellationToken cancel = default)
    {
        int[] ids = Check(tokens, null);
        if (_encoderDecoder is not null) throw new InvalidOptionException("this model's logits depend on a text that its encoder reads; give its tokens too");
        return Stream(stop => new LogitsJob(ids, Engine.Wake, stop), cancel);
    }

    /// <summary>Computes the logits at every position of an answer to a text, with a model that reads one and writes the other.</summary>
    /// <param name="text">The tokens that the encoder reads, as they stand.</param>
    /// <param name="answer">The decoder's tokens, its first one included.</param>
    /// <param name="cancel">Ends the stream.</param>
    /// <returns>For each token of the answer, one float per vocabulary entry.</returns>
    public IAsyncEnumerable<float[]> ComputeLogitsAsync(IReadOnlyList<int> text, IReadOnlyList<int> answer, CancellationToken cancel = default)
    {
        if (_encoderDecoder is null) throw new InvalidOptionException("encoder tokens: this model has no encoder");
        return _encoderDecoder.ComputeLogitsAsync(Check(text, null), Check(answer, null), cancel);
    }

    /// <summary>The vector of a text, as <see cref="EmbeddingModel"/> gives it, beside what else the model does: in the plan's memory, and in its turn.</summary>
    /// <param name="text">The text; the tokens that the model's own rules put around it are added.</param>
    /// <param name="pooling">How the tokens' vectors become one; null for <see cref="DefaultPooling"/>. The mean takes a pass through the layers for every 16 tokens.</param>
    /// <param name="normalize">Whether to divide it by its length, so that the product of two is their cosine.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <returns><see cref="VectorLength"/> floats.</returns>
    /// <exception cref="InvalidOptionException">There is no token, an unknown one, or there are more than the plan's context holds.</exception>
    /// <exception cref="UnsupportedModelException">The model has an encoder.</exception>
    public Task<float[]> EmbedAsync(string text, Pooling? pooling = null, bool normalize = false, CancellationToken cancel = default) =>
        EmbedAsync(Tokenizer.Encode(text), pooling, normalize, cancel);

    /// <summary>The vector of tokens, as they stand.</summary>
    /// <inheritdoc cref="EmbedAsync(string, Pooling?, bool, CancellationToken)"/>
    public async Task<float[]> EmbedAsync(IReadOnlyList<int> tokens, Pooling? pooling = null, bool normalize = false, CancellationToken cancel = default)
    {
        Pooling pool = pooling ?? DefaultPooling;
        TextVectors.Require(pool);
        if (_encoderDecoder is not null) throw new UnsupportedModelException($"{_shape.Name}: a model that reads one text and writes another gives no embeddings here");
        int[] ids = Check(tokens, null);
        List<float[]> vectors = [];
        await foreach (float[] vector in Stream(stop => new VectorJob(ids, pool, VectorLength, Engine.Wake, stop), cancel).ConfigureAwait(false)) vectors.Add(vector);
        float[] one = TextVectors.Pool(vectors, pool);
        return normalize ? TextVectors.Normalize(one) : one;
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Cancels what is running, waits for it, and gives back every byte.</summary>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        if (_engine is not null) await _engine.CloseAsync().ConfigureAwait(false);
        if (_encoderDecoder is not null) await _encoderDecoder.DisposeAsync().ConfigureAwait(false);
        Tokenizer.Dispose();
        _model.Dispose();
    }

    internal GenerationJob NewGeneration(int[] tokens, GenerateOptions options, ModelSession? session, CancellationToken stop) =>
        new(tokens, options, Tokenizer, Plan.ContextLength, Engine.Wake, stop) { Session = session, Streaming = StreamingNow };

    private StreamingStats? StreamingNow() => _model.Streams.Count > 0 ? StreamingStats.Of(_model.Streams) : null;

    private static BigModel Load(Checkpoint checkpoint, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (!checkpoint.HasWeights) throw new CheckpointException(System.IO.Path.GetFileName(checkpoint.Path), "weights", "the checkpoint holds no weight files, only a configuration");
        ModelDefinition definition = checkpoint.Define(plan.WeightType, preparedText: true);
        if (definition.Shape.Kind == ModelKind.Encoder) throw new UnsupportedModelException($"{definition.Shape.Name}: an encoder writes no text; {nameof(EmbeddingModel)} and nbm embed make vectors with it");
        LoadGate.Require(plan, definition.Shape);
        EngineModel model = EngineModel.Load(definition, plan, progress, cancel);
        try
        {
            progress?.Report(new LoadProgress(LoadPhase.Context, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            var loaded = new BigModel(checkpoint, plan, definition, model);
            progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            return loaded;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    /// <summary>The tokens, if they can be computed with the options; without options, as they stand.</summary>
    internal int[] Check(IReadOnlyList<int> tokens, GenerateOptions? options)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        ObjectDisposedException.ThrowIf(_disposed, this);
        options?.Validate(Tokenizer.TokenCount, Plan.ContextLength);
        if (options?.Speculation is not null && !Engine.Context.KeepsParts) throw new UnsupportedModelException("speculation: the model has one state for all tokens, and guesses that are wrong cannot be taken back");
        if (options?.Speculation?.Draft is { } draft) DraftModel.Require(this, draft);
        Tokenizer.RequireKnown(tokens);
        if (tokens.Count == 0) throw new InvalidOptionException("the prompt has no tokens, and at least 1 is needed");
        if (tokens.Count <= Plan.ContextLength || options?.KeepWhenFull is not null) return [.. tokens];
        if (_shape.ContextCap is { } cap && tokens.Count > _shape.ContextLength) throw new UnsupportedModelException($"the prompt has {tokens.Count} tokens: {cap}");
        throw new InvalidOptionException($"the prompt has {tokens.Count} tokens, and the context was planned for {Plan.ContextLength}");
    }

    /// <summary>Hands on what a job makes. Leaving the stream ends the job.</summary>
    internal async IAsyncEnumerable<T> Stream<T>(Func<CancellationToken, Job<T>> make, [EnumeratorCancellation] CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        cancel.ThrowIfCancellationRequested();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Job<T> job = make(stop.Token);
        Engine.Add(job);
        try
        {
            while (await WaitForItem(job.Output, cancel).ConfigureAwait(false))
            {
                while (job.Output.TryTake(out T item))
                {
                    cancel.ThrowIfCancellationRequested();
                    ObjectDisposedException.ThrowIf(_disposed, this);
                    yield return item;
                }
            }
        }
        finally { await stop.CancelAsync().ConfigureAwait(false); }
    }

    private static async ValueTask<bool> WaitForItem<T>(Outbox<T> output, CancellationToken cancel)
    {
        try { return await output.WaitAsync(cancel).ConfigureAwait(false); }
        catch (OperationCanceledException error) when (cancel.IsCancellationRequested) { throw new OperationCanceledException(error.Message, error, cancel); }
    }
}
