using Microsoft.Extensions.AI;

namespace NativeBigModel.Extensions.AI;

/// <summary>
/// <see cref="IEmbeddingGenerator{TInput, TEmbedding}"/> on a loaded model: an <see cref="EmbeddingModel"/>, or a <see cref="BigModel"/> beside what else it does.
/// All members may be called at once from any thread.
/// </summary>
/// <remarks>
/// A batch is checked before any of it is computed: each text has tokens, and no more than the plan's context holds. Honoured of <see cref="EmbeddingGenerationOptions"/>: ModelId, as what
/// embeddings say that they come from, and Dimensions, which may be the model's own and nothing else.
/// </remarks>
public sealed class BigModelEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>
{
    private const string Provider = "nativebigmodel";

    private readonly EmbeddingGeneratorMetadata _metadata;
    private readonly Func<int[], CancellationToken, Task<float[]>> _embed;
    private readonly Tokenizer _tokenizer;
    private readonly IDisposable _model;
    private readonly int _contextLength;
    private readonly int _atOnce;
    private readonly bool _ownsModel;

    /// <summary>Creates a generator on a model that is loaded for it.</summary>
    /// <param name="model">The model.</param>
    /// <param name="pooling">How the tokens' vectors become one; null for the model's.</param>
    /// <param name="normalize">Whether vectors are divided by their lengths, so that the product of two is their cosine.</param>
    /// <param name="modelId">What embeddings say that they come from; null for the checkpoint's name.</param>
    /// <param name="ownsModel">Whether disposing of the generator disposes of the model.</param>
    public BigModelEmbeddingGenerator(EmbeddingModel model, Pooling? pooling = null, bool normalize = true, string? modelId = null, bool ownsModel = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        (_model, _tokenizer, _contextLength, _atOnce, _ownsModel) = (model, model.Tokenizer, model.Plan.ContextLength, 1, ownsModel);
        _embed = (tokens, cancel) => model.EmbedAsync(tokens, pooling, normalize, cancel);
        _metadata = new(Provider, null, modelId ?? Path.GetFileNameWithoutExtension(model.Checkpoint.Path), model.Length);
    }

    /// <summary>Creates a generator on a model that also writes: texts take their turns with its answers, as many at once as the plan has sessions.</summary>
    /// <inheritdoc cref="BigModelEmbeddingGenerator(EmbeddingModel, Pooling?, bool, string?, bool)"/>
    /// <exception cref="UnsupportedModelException">When vectors are asked for: the model reads one text and writes another.</exception>
    public BigModelEmbeddingGenerator(BigModel model, Pooling? pooling = null, bool normalize = true, string? modelId = null, bool ownsModel = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        (_model, _tokenizer, _contextLength, _atOnce, _ownsModel) = (model, model.Tokenizer, model.Plan.ContextLength, model.Plan.Sessions, ownsModel);
        _embed = (tokens, cancel) => model.EmbedAsync(tokens, pooling, normalize, cancel);
        _metadata = new(Provider, null, modelId ?? Path.GetFileNameWithoutExtension(model.Checkpoint.Path), model.VectorLength);
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOptionException">A text has no tokens or more than the context holds, or the options ask for other dimensions than the model's.</exception>
    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        cancellationToken.ThrowIfCancellationRequested();
        if (options?.Dimensions is { } asked && asked != _metadata.DefaultModelDimensions)
            throw new InvalidOptionException($"{nameof(options.Dimensions)}: {asked}; the model's vectors have {_metadata.DefaultModelDimensions}, and are not cut");
        int[][] texts = [.. values.Select(Encode)];
        var vectors = new float[texts.Length][];
        var parallel = new ParallelOptions { MaxDegreeOfParallelism = _atOnce, CancellationToken = cancellationToken };
        await Parallel.ForAsync(0, texts.Length, parallel, async (i, cancel) => vectors[i] = await _embed(texts[i], cancel).ConfigureAwait(false)).ConfigureAwait(false);
        (DateTimeOffset created, string? modelId, long tokens) = (DateTimeOffset.UtcNow, options?.ModelId ?? _metadata.DefaultModelId, texts.Sum(text => (long)text.Length));
        return new(vectors.Select(vector => new Embedding<float>(vector) { CreatedAt = created, ModelId = modelId }))
        {
            Usage = new UsageDetails { InputTokenCount = tokens, TotalTokenCount = tokens },
        };
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        if (serviceType == typeof(EmbeddingGeneratorMetadata)) return _metadata;
        if (serviceType.IsInstanceOfType(this)) return this;
        return serviceType == _model.GetType() ? _model : serviceType == typeof(Tokenizer) ? _tokenizer : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsModel) _model.Dispose();
    }

    private int[] Encode(string text, int index)
    {
        if (text is null) throw new InvalidOptionException($"text {index} is null");
        int[] tokens = _tokenizer.Encode(text);
        if (tokens.Length == 0) throw new InvalidOptionException($"text {index} has no tokens, and at least 1 is needed");
        return tokens.Length <= _contextLength ? tokens : throw new InvalidOptionException($"text {index} has {tokens.Length} tokens, and the context was planned for {_contextLength}");
    }
}
