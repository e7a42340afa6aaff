using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace NativeBigModel.Runtime;

/// <summary>Work that takes its turns on a context: one piece at a time, on a thread of its own, cancelled and waited for when the owner is disposed of.</summary>
internal sealed class WorkTurns : IAsyncDisposable
{
    // Items that are computed ahead of the caller.
    private const int ItemsAhead = 16;

    private readonly SemaphoreSlim _turn = new(1, 1);
    private readonly CancellationTokenSource _disposing = new();
    private bool _disposed;

    /// <summary>Runs work when its turn has come.</summary>
    public async Task<T> Run<T>(Func<CancellationToken, T> work, CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, _disposing.Token);
        T result = default!;
        Task running = InTurn(() => result = work(stop.Token), stop.Token);
        await Rethrow(running, cancel).ConfigureAwait(false);
        return result;
    }

    /// <summary>Runs work when its turn has come and hands on what it emits; it waits where the caller does not keep up.</summary>
    public async IAsyncEnumerable<T> Stream<T>(Action<Action<T>, CancellationToken> work, [EnumeratorCancellation] CancellationToken cancel)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        Channel<T> items = Channel.CreateBounded<T>(new BoundedChannelOptions(ItemsAhead) { SingleReader = true, SingleWriter = true });
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel, _disposing.Token);
        void Emit(T item)
        {
            if (!items.Writer.TryWrite(item)) items.Writer.WriteAsync(item, stop.Token).AsTask().GetAwaiter().GetResult();
        }
        Task running = Completing(InTurn(() => work(Emit, stop.Token), stop.Token), items);
        try
        {
            while (await items.Reader.WaitToReadAsync(CancellationToken.None).ConfigureAwait(false))
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

    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, true)) return;
        await _disposing.CancelAsync().ConfigureAwait(false);
        await _turn.WaitAsync().ConfigureAwait(false);
        _turn.Dispose();
        _disposing.Dispose();
    }

    private static async Task Completing<T>(Task work, Channel<T> items)
    {
        try { await work.ConfigureAwait(false); }
        finally { items.Writer.TryComplete(); }
    }

    // A caller's thread pool is never held for the length of a computation.
    private async Task InTurn(Action work, CancellationToken cancel)
    {
        await _turn.WaitAsync(cancel).ConfigureAwait(false);
        try { await Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).ConfigureAwait(false); }
        finally { _turn.Release(); }
    }

    private async Task Rethrow(Task work, CancellationToken cancel)
    {
        try { await work.ConfigureAwait(false); }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested && _disposed) { throw new ObjectDisposedException(nameof(BigModel)); }
        catch (OperationCanceledException error) when (cancel.IsCancellationRequested) { throw new OperationCanceledException(error.Message, error, cancel); }
    }
}
