using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The application's model: loaded when first asked for, once, and given back with the application's services.</summary>
public sealed partial class BigModelProvider : IAsyncDisposable, IDisposable
{
    private readonly NativeBigModelOptions _options;
    private readonly ILogger<BigModelProvider> _log;
    private readonly CancellationTokenSource _disposing = new();
    private readonly Lock _gate = new();
    private Task<BigModel>? _model;
    private bool _disposed;

    /// <summary>Creates the provider; nothing is loaded yet.</summary>
    /// <param name="options">Which model.</param>
    /// <param name="loggers">The application's logging, where it has one.</param>
    public BigModelProvider(IOptions<NativeBigModelOptions> options, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _log) = (options.Value, (loggers ?? NullLoggerFactory.Instance).CreateLogger<BigModelProvider>());
        if (_options.LogEngine && loggers is not null) EngineLog.Logger = loggers.CreateLogger("NativeBigModel.Engine");
    }

    /// <summary>The model. The first call loads it, and a load that failed is tried again by the next.</summary>
    /// <param name="cancel">Ends the waiting; the load goes on for the others.</param>
    /// <exception cref="BigModelException">Bad input, too little memory, or a failing engine, each as its own type.</exception>
    public Task<BigModel> GetAsync(CancellationToken cancel = default)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_model is null or { IsFaulted: true } or { IsCanceled: true }) _model = Load();
            return _model.WaitAsync(cancel);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Stops a load, cancels what is running, waits for it, and gives back every byte.</summary>
    public async ValueTask DisposeAsync()
    {
        Task<BigModel>? model;
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
            model = _model;
        }
        await _disposing.CancelAsync().ConfigureAwait(false);
        if (model is not null)
        {
            await ((Task)model).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (model.IsCompletedSuccessfully) await model.Result.DisposeAsync().ConfigureAwait(false);
        }
        _disposing.Dispose();
    }

    private async Task<BigModel> Load()
    {
        Loading(_options.ModelPath);
        BigModel model = await BigModel.LoadAsync(_options.ModelPath, _options.Plan, _options.Progress, _disposing.Token).ConfigureAwait(false);
        Loaded(_options.ModelPath, model.Plan.ContextLength);
        return model;
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "Loading {Path}")]
    private partial void Loading(string path);

    [LoggerMessage(Level = LogLevel.Information, Message = "Loaded {Path}, a context of {ContextLength} tokens")]
    private partial void Loaded(string path, int contextLength);
}
