using Microsoft.Extensions.AI;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using NativeBigModel.Extensions.AI;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The application's embedding generator: its first call loads the model, its own or the one that also answers.</summary>
internal sealed class LoadingEmbeddingGenerator : IEmbeddingGenerator<string, Embedding<float>>, IAsyncDisposable
{
    private readonly NativeBigModelEmbeddingOptions _options;
    private readonly LoadOnce<EmbeddingModel>? _own;
    private readonly BigModelProvider? _shared;
    private BigModelEmbeddingGenerator? _generator;

    /// <exception cref="OptionsValidationException">No model is named here, and AddNativeBigModel was not called or names none.</exception>
    public LoadingEmbeddingGenerator(IOptions<NativeBigModelEmbeddingOptions> options, IServiceProvider services, ILoggerFactory? loggers = null)
    {
        _options = options.Value;
        ILogger log = (loggers ?? NullLoggerFactory.Instance).CreateLogger<LoadingEmbeddingGenerator>();
        if (_options.ModelPath is not { } path)
        {
            _shared = services.GetService<BigModelProvider>()
                ?? throw new OptionsValidationException(Options.DefaultName, typeof(NativeBigModelEmbeddingOptions), [$"{nameof(_options.ModelPath)}: names no folder or file, and there is no model of AddNativeBigModel"]);
            return;
        }
        _own = new(this, async disposing =>
        {
            log.Loading(path);
            EmbeddingModel model = await EmbeddingModel.LoadAsync(path, _options.Plan, _options.Progress, disposing).ConfigureAwait(false);
            log.Loaded(path, model.Plan.ContextLength);
            return model;
        });
    }

    public async Task<GeneratedEmbeddings<Embedding<float>>> GenerateAsync(IEnumerable<string> values, EmbeddingGenerationOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(values);
        _generator ??= _own is not null
            ? new(await _own.GetAsync(cancellationToken).ConfigureAwait(false), _options.Pooling, _options.Normalize, _options.ModelId)
            : new(await _shared!.GetAsync(cancellationToken).ConfigureAwait(false), _options.Pooling, _options.Normalize, _options.ModelId);
        return await _generator.GenerateAsync(values, options, cancellationToken).ConfigureAwait(false);
    }

    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        if (serviceType == typeof(BigModelProvider)) return _shared;
        return serviceType.IsInstanceOfType(this) ? this : _generator?.GetService(serviceType);
    }

    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    // The provider owns a shared model.
    public ValueTask DisposeAsync() => _own?.DisposeAsync() ?? ValueTask.CompletedTask;
}
