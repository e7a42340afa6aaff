using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>A model in memory that turns texts into vectors: an encoder such as BERT, or a decoder whose last layer is read. Calls may come from any thread and take their turns.</summary>
public sealed class EmbeddingModel : IAsyncDisposable, IDisposable
{
    private readonly EngineModel _model;
    private readonly EncoderContext _context;
    private readonly ModelKind _kind;
    private readonly WorkTurns _turns = new();

    private EmbeddingModel(Checkpoint checkpoint, Plan plan, ModelDefinition definition, EngineModel model)
    {
        (Checkpoint, Plan, _model, _kind) = (checkpoint, plan, model, definition.Shape.Kind);
        Tokenizer = new Tokenizer(model, checkpoint.Text, ownsModel: false);
        DefaultPooling = TextVectors.DefaultPooling(definition);
        Length = LlamaModelApi.LlamaModelNEmbdOut(model.Handle);
        _context = EncoderContext.Create(model, plan, embeddings: true);
    }

    /// <summary>What was loaded.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>Where it lives.</summary>
    public Plan Plan { get; }

    /// <summary>The model's tokenizer; it lives as long as the model.</summary>
    public Tokenizer Tokenizer { get; }

    /// <summary>Elements of a vector.</summary>
    public int Length { get; }

    /// <summary>The pooling that the model's authors name; the mean for an encoder and the last token for a decoder where they do not.</summary>
    public Pooling DefaultPooling { get; }

    /// <summary>Opens, plans for this machine, and loads a Hugging Face folder or a GGUF file as it is.</summary>
    /// <inheritdoc cref="BigModel.LoadAsync(string, PlanOptions?, IProgress{LoadProgress}?, CancellationToken)"/>
    public static Task<EmbeddingModel> LoadAsync(string path, PlanOptions? options = null, IProgress<LoadProgress>? progress = null, CancellationToken cancel = default) => Task.Run(() =>
    {
        Checkpoint checkpoint = Checkpoint.Open(path);
        options ??= new PlanOptions();
        Plan plan = checkpoint.Plan(Machine.Probe(), options);
        return Load(checkpoint, plan, progress, cancel);
    }, cancel);

    /// <summary>Carries out a plan that was made for this checkpoint.</summary>
    /// <inheritdoc cref="BigModel.LoadAsync(string, PlanOptions?, IProgress{LoadProgress}?, CancellationToken)"/>
    public static Task<EmbeddingModel> LoadAsync(Checkpoint checkpoint, Plan plan, IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(plan);
        return Task.Run(() => Load(checkpoint, plan, progress, cancel), cancel);
    }

    /// <summary>The vector of a text.</summary>
    /// <param name="text">The text; the tokens that the model's own rules put around it are added.</param>
    /// <param name="pooling">How the tokens' vectors become one; null for <see cref="DefaultPooling"/>.</param>
    /// <param name="normalize">Whether to divide it by its length, so that the product of two is their cosine.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    public Task<float[]> EmbedAsync(string text, Pooling? pooling = null, bool normalize = false, CancellationToken cancel = default) =>
        EmbedAsync(Tokenizer.Encode(text), pooling, normalize, cancel);

    /// <summary>The vector of tokens, as they stand.</summary>
    /// <inheritdoc cref="EmbedAsync(string, Pooling?, bool, CancellationToken)"/>
    public async Task<float[]> EmbedAsync(IReadOnlyList<int> tokens, Pooling? pooling = null, bool normalize = false, CancellationToken cancel = default)
    {
        TextVectors.Require(pooling ?? DefaultPooling);
        float[] one = TextVectors.Pool(await ComputeVectorsAsync(tokens, cancel).ConfigureAwait(false), pooling ?? DefaultPooling);
        return normalize ? TextVectors.Normalize(one) : one;
    }

    /// <summary>The vectors of all tokens, behind the model's last norm.</summary>
    /// <param name="tokens">The tokens, as they stand; nothing is added.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <returns>For each token, <see cref="Length"/> floats.</returns>
    /// <exception cref="InvalidOptionException">There is no token, an unknown one, or there are more than the plan's context holds.</exception>
    public Task<float[][]> ComputeVectorsAsync(IReadOnlyList<int> tokens, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        Tokenizer.RequireKnown(tokens);
        if (tokens.Count == 0) throw new InvalidOptionException("the text has no tokens, and at least 1 is needed");
        if (tokens.Count > Plan.ContextLength) throw new InvalidOptionException($"the text has {tokens.Count} tokens, and the context was planned for {Plan.ContextLength}");
        int[] ids = [.. tokens];
        return _turns.Run(stop => Compute(ids, stop), cancel);
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Cancels what is running, waits for it, and gives back every byte.</summary>
    public async ValueTask DisposeAsync()
    {
        await _turns.DisposeAsync().ConfigureAwait(false);
        _context.Dispose();
        _model.Dispose();
    }

    private static EmbeddingModel Load(Checkpoint checkpoint, Plan plan, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (!checkpoint.HasWeights) throw new CheckpointException(System.IO.Path.GetFileName(checkpoint.Path), "weights", "the checkpoint holds no weight files, only a configuration");
        ModelDefinition definition = checkpoint.Define(plan.WeightType, preparedText: true);
        if (definition.Shape.Kind == ModelKind.EncoderDecoder)
            throw new UnsupportedModelException($"{definition.Shape.Name}: a model that reads one text and writes another gives no embeddings here");
        LoadGate.Require(plan, definition.Shape);
        EngineModel model = EngineModel.Load(definition, plan, progress, cancel);
        try
        {
            var loaded = new EmbeddingModel(checkpoint, plan, definition, model);
            progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            return loaded;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private float[][] Compute(int[] tokens, CancellationToken cancel)
    {
        _context.Clear();
        var vectors = new List<float[]>(tokens.Length);
        foreach (int[] part in tokens.Chunk(_kind == ModelKind.Decoder ? _context.BatchSize : tokens.Length))
        {
            if (_kind == ModelKind.Decoder) _context.Decode(part, everyOutput: true, cancel);
            else _context.Encode(part, cancel);
            for (int i = 0; i < part.Length; i++) vectors.Add(_context.Vector(i, Length).ToArray());
        }
        return [.. vectors];
    }
}
