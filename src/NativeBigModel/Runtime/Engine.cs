using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>
/// Computes jobs on a context, up to one a sequence at the same time: each pass through the layers carries a token of every sequence that generates, and as many tokens
/// of prompts as the batch has room for. Further jobs wait, first come first served. A thread does it that lives while there is something to do.
/// </summary>
internal sealed class Engine(EngineContext context)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Job> _waiting = new();
    private readonly Queue<Action> _commands = new();
    private readonly List<Job> _inPass = [];

    // Used by the thread at work only.
    private readonly List<Job> _active = [];
    private readonly SlotTable _slots = new(context);
    private long _pass;

    private Task _working = Task.CompletedTask;
    private bool _running;
    private bool _closing;
    private bool _closed;

    /// <summary>Held by whoever uses the context: this engine's thread, or that of a model for which this one drafts.</summary>
    public Lock ContextGate { get; } = new();

    public EngineContext Context => context;

    public SlotTable Slots => _slots;

    /// <summary>Whether <see cref="CloseAsync"/> was called.</summary>
    public bool IsClosed => _closing;

    /// <summary>Lets a job wait for its turn.</summary>
    /// <exception cref="ObjectDisposedException">The engine is closed.</exception>
    public void Add(Job job)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing, typeof(BigModel));
            _waiting.AddLast(job);
        }
        CancellationTokenRegistration registration = job.Cancel.UnsafeRegister(static state => ((Engine)state!).Cancelled(), this);
        job.Ended.ContinueWith(static (_, state) => ((CancellationTokenRegistration)state!).Unregister(), registration, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        Wake();
    }

    /// <summary>Runs something between two passes, on the thread that owns the context.</summary>
    /// <exception cref="ObjectDisposedException">The engine is closed.</exception>
    public Task<T> InvokeAsync<T>(Func<T> work)
    {
        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closing, typeof(BigModel));
            _commands.Enqueue(() =>
            {
                try { result.SetResult(work()); }
                catch (Exception error) { result.SetException(error); }
            });
        }
        Wake();
        return result.Task;
    }

    /// <summary>Looks again for something to do.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            if (_running || _closed) return;
            _running = true;
            // A thread of its own, so that a caller's thread pool is never held for the length of a generation.
            _working = Task.Factory.StartNew(Work, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
    }

    /// <summary>Ends every job with <see cref="ObjectDisposedException"/>, waits for the pass at work to end, and disposes of the context.</summary>
    public async Task CloseAsync()
    {
        lock (_gate)
        {
            _closing = true;
            if (_running) context.Abort();
        }
        Wake();
        while (true)
        {
            Task working;
            lock (_gate)
            {
                if (!_running)
                {
                    _closed = true;
                    break;
                }
                working = _working;
            }
            await working.ConfigureAwait(false);
        }
        lock (ContextGate) context.Dispose();
    }

    // A pass that only cancelled jobs have a part in is cut short; otherwise the others need it.
    private void Cancelled()
    {
        lock (_gate)
        {
            if (_inPass.Count > 0 && _inPass.TrueForAll(job => job.Cancel.IsCancellationRequested)) context.Abort();
        }
        Wake();
    }

    private void Work()
    {
        while (true)
        {
            Action[] commands;
            lock (_gate)
            {
                if (!HasWork())
                {
                    _running = false;
                    return;
                }
                commands = [.. _commands];
                _commands.Clear();
            }
            lock (ContextGate)
            {
                foreach (Action command in commands) command();
                EndCancelled();
                Admit();
                Pass();
            }
        }
    }

    private bool HasWork() =>
        _commands.Count > 0
        || (_closing && _waiting.Count + _active.Count > 0)
        || (_waiting.Count > 0 && _slots.HasFree)
        || _active.Exists(job => job.HasRoom || job.Cancel.IsCancellationRequested)
        || _waiting.Any(job => job.Cancel.IsCancellationRequested);

    private void EndCancelled()
    {
        List<Job> waiting;
        lock (_gate)
        {
            waiting = [.. _waiting.Where(ShouldEnd)];
            foreach (Job job in waiting) _waiting.Remove(job);
        }
        foreach (Job job in waiting) job.End(Reason(job));
        foreach (Job job in _active.FindAll(ShouldEnd)) Leave(job, Reason(job));
    }

    private bool ShouldEnd(Job job) => _closing || job.Cancel.IsCancellationRequested;

    private Exception Reason(Job job) => _closing ? new ObjectDisposedException(nameof(BigModel)) : new OperationCanceledException(job.Cancel);

    private void Admit()
    {
        while (_slots.HasFree)
        {
            Job? job;
            lock (_gate)
            {
                job = _waiting.First?.Value;
                if (job is null) return;
                _waiting.RemoveFirst();
            }
            Slot slot = _slots.Take(job);
            try
            {
                job.Begin(context, slot);
                _active.Add(job);
            }
            catch (Exception error)
            {
                SlotTable.Free(slot);
                job.End(error);
            }
        }
    }

    private void Leave(Job job, Exception? error)
    {
        _active.Remove(job);
        SlotTable.Free(job.Slot);
        job.End(error);
    }

    private void Pass()
    {
        List<Job> ready = _active.FindAll(job => job.HasRoom);
        if (ready.Count == 0) return;
        // A pass gives either logits or vectors: who has waited longest says which.
        bool vectors = ready.MinBy(job => job.LastPass)!.NeedsVectors;
        ready.RemoveAll(job => job.NeedsVectors != vectors);
        try { Guess(ready); }
        catch (Exception error)
        {
            foreach (Job job in ready.Where(job => job is GenerationJob { Speculation: not null })) Leave(job, error);
            return;
        }
        List<Share> shares = Compose(ready);
        try
        {
            if (Compute(shares, vectors)) Advance(shares);
            else foreach (Share share in shares) share.Job.Slot.Restore(context);
        }
        catch (Exception error)
        {
            // Nothing is known of what their sequences hold.
            foreach (Share share in shares)
            {
                share.Job.Slot.Clear(context);
                if (_active.Contains(share.Job)) Leave(share.Job, error);
            }
        }
    }

    // Guesses have what the batch leaves after a token of each sequence, in equal parts.
    private void Guess(List<Job> ready)
    {
        foreach (GenerationJob job in ready.OfType<GenerationJob>()) job.ForgetGuesses();
        List<GenerationJob> guessing = [.. ready.OfType<GenerationJob>().Where(job => job.UsefulGuesses > 0)];
        if (guessing.Count == 0) return;
        int each = Math.Min(context.Batch.Capacity - ready.Count, context.Batch.MaxOutputs - ready.Count) / guessing.Count;
        if (each <= 0) return;
        foreach (GenerationJob job in guessing.Where(job => job.Speculation!.Draft is null)) job.LookUp(Math.Min(each, job.UsefulGuesses));
        foreach (IGrouping<BigModel, GenerationJob> group in guessing.Where(job => job.Speculation!.Draft is not null).GroupBy(job => job.Speculation!.Draft!))
            DraftModel.Guess(group.Key, [.. group.Select(job => (job, Math.Min(each, job.UsefulGuesses)))]);
    }

    // Sequences that generate come first, those longest without a pass before the others; prompts share what they leave, in the order in which they came.
    private List<Share> Compose(List<Job> ready)
    {
        PassBatch batch = context.Batch;
        batch.Clear();
        _pass++;
        List<Job> generating = [.. ready.Where(job => job.Pending == 1).OrderBy(job => job.LastPass)];
        List<Job> prompts = ready.FindAll(job => job.Pending > 1);
        // In a batch too small for all, prompts get every second one.
        if (prompts.Count > 0 && generating.Count >= batch.Capacity && prompts.TrueForAll(job => job.LastPass < _pass - 1)) generating.RemoveRange(batch.Capacity - 1, generating.Count - batch.Capacity + 1);
        var shares = new List<Share>();
        foreach (Job job in generating) Take(job, 1, 1);
        foreach (Job job in prompts) Take(job, batch.Room, batch.OutputRoom);
        return shares;

        void Take(Job job, int room, int outputRoom)
        {
            if (batch.Room == 0 || batch.OutputRoom == 0) return;
            shares.Add(job.Take(batch, room, outputRoom));
            job.LastPass = _pass;
        }
    }

    private bool Compute(List<Share> shares, bool vectors)
    {
        lock (_gate)
        {
            context.Rearm();
            _inPass.AddRange(shares.Select(share => share.Job));
            if (_closing || _inPass.TrueForAll(job => job.Cancel.IsCancellationRequested)) context.Abort();
        }
        try { return context.Compute(vectors); }
        finally
        {
            lock (_gate) _inPass.Clear();
        }
    }

    private void Advance(List<Share> shares)
    {
        foreach (Share share in shares)
        {
            Job job = share.Job;
            job.Slot.Add(CollectionsMarshal.AsSpan(job.Tokens).Slice(job.Slot.Tokens.Count, share.Pending));
            try
            {
                if (job.Advance(context, share)) Leave(job, null);
            }
            catch (Exception error) { Leave(job, error); }
        }
    }
}
