namespace NativeBigModel.Extensions.DependencyInjection;

/// <summary>Something that is loaded when first asked for, once, and disposed of with its owner.</summary>
internal sealed class LoadOnce<T>(object owner, Func<CancellationToken, Task<T>> load) : IAsyncDisposable where T : class, IAsyncDisposable
{
    private readonly CancellationTokenSource _disposing = new();
    private readonly Lock _gate = new();
    private Task<T>? _loaded;
    private bool _disposed;

    /// <summary>The first call loads it, and a load that failed is tried again by the next. Cancelling ends the waiting; the load goes on for the others.</summary>
    public Task<T> GetAsync(CancellationToken cancel)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, owner);
            if (_loaded is null or { IsFaulted: true } or { IsCanceled: true }) _loaded = load(_disposing.Token);
            return _loaded.WaitAsync(cancel);
        }
    }

    /// <summary>Stops a load, or disposes of what was loaded.</summary>
    public async ValueTask DisposeAsync()
    {
        Task<T>? loaded;
        lock (_gate)
        {
            if (_disposed) return;
            _disposed = true;
            loaded = _loaded;
        }
        await _disposing.CancelAsync().ConfigureAwait(false);
        if (loaded is not null)
        {
            await ((Task)loaded).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (loaded.IsCompletedSuccessfully) await loaded.Result.DisposeAsync().ConfigureAwait(false);
        }
        _disposing.Dispose();
    }
}
