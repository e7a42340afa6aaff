using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;

namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>The application's model: loaded when first asked for, once, and given back with the application's services.</summary>
public sealed class BigModelProvider : IAsyncDisposable, IDisposable
{
    private readonly LoadOnce<BigModel> _model;

    /// <summary>Creates the provider; nothing is loaded yet.</summary>
    /// <param name="options">Which model.</param>
    /// <param name="loggers">The application's logging, where it has one.</param>
    public BigModelProvider(IOptions<NativeBigModelOptions> options, ILoggerFactory? loggers = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        (NativeBigModelOptions given, ILogger<BigModelProvider> log) = (options.Value, (loggers ?? NullLoggerFactory.Instance).CreateLogger<BigModelProvider>());
        if (given.LogEngine && loggers is not null) EngineLog.Logger = loggers.CreateLogger("NativeBigModel.Engine");
        _model = new(this, async disposing =>
        {
            log.Loading(given.ModelPath);
            BigModel model = await BigModel.LoadAsync(given.ModelPath, given.Plan, given.Progress, disposing).ConfigureAwait(false);
            log.Loaded(given.ModelPath, model.Plan.ContextLength);
            return model;
        });
    }

    /// <summary>The model. The first call loads it, and a load that failed is tried again by the next.</summary>
    /// <param name="cancel">Ends the waiting; the load goes on for the others.</param>
    /// <exception cref="BigModelException">Bad input, too little memory, or a failing engine, each as its own type.</exception>
    public Task<BigModel> GetAsync(CancellationToken cancel = default) => _model.GetAsync(cancel);

    /// <inheritdoc/>
    public void Dispose() => DisposeAsync().AsTask().GetAwaiter().GetResult();

    /// <summary>Stops a load, cancels what is running, waits for it, and gives back every byte.</summary>
    public ValueTask DisposeAsync() => _model.DisposeAsync();
}
