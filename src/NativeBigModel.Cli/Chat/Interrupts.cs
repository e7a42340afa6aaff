using System.Runtime.InteropServices;

namespace NativeBigModel.Cli.Chat;

/// <summary>Ctrl-C as a signal: it ends what is running, and not the program. Where nothing is, <see cref="Idle"/> decides, or the program ends as it does without this.</summary>
internal sealed class Interrupts : IDisposable
{
    private readonly Lock _gate = new();
    private readonly PosixSignalRegistration _registration;
    private CancellationTokenSource? _running;
    private bool _stopsNext;

    public Interrupts() => _registration = PosixSignalRegistration.Create(PosixSignal.SIGINT, context => context.Cancel = Stop());

    /// <summary>Called, on a thread of its own, by an interrupt while nothing runs; null to let it end the program.</summary>
    public Action? Idle { get; set; }

    /// <summary>Whether what runs next is ended as it begins: it was interrupted just before.</summary>
    public bool StopsNext
    {
        get { lock (_gate) return _stopsNext; }
        set { lock (_gate) _stopsNext = value; }
    }

    /// <summary>Runs something that an interrupt ends with <see cref="OperationCanceledException"/>.</summary>
    public async Task RunAsync(Func<CancellationToken, Task> work)
    {
        using var running = new CancellationTokenSource();
        bool stopped;
        lock (_gate) (_running, stopped, _stopsNext) = (running, _stopsNext, false);
        if (stopped) await running.CancelAsync().ConfigureAwait(false);
        try { await work(running.Token).ConfigureAwait(false); }
        finally
        {
            lock (_gate) _running = null;
        }
    }

    public void Dispose() => _registration.Dispose();

    private bool Stop()
    {
        lock (_gate)
        {
            // What waits for the token goes on elsewhere: the lock is not held for it.
            _ = _running?.CancelAsync();
            if (_running is not null) return true;
        }
        Idle?.Invoke();
        return Idle is not null;
    }
}
