using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>A sequence being computed: tokens that are there or come, and what is made of their logits. Its virtual members run on the thread that owns the context.</summary>
internal abstract class Job(IEnumerable<int> tokens, CancellationToken cancel)
{
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>All tokens of the sequence, computed or not.</summary>
    public List<int> Tokens { get; } = [.. tokens];

    /// <summary>The end of the job that its caller wishes for.</summary>
    public CancellationToken Cancel { get; } = cancel;

    /// <summary>The session that it belongs to, or null.</summary>
    public ModelSession? Session { get; init; }

    /// <summary>Whether tokens that a sequence already holds are taken over.</summary>
    public virtual bool ReusesPrefix => false;

    /// <summary>Whether the next pass that it has a part in must give vectors in place of logits. Asked while it is at work.</summary>
    public virtual bool NeedsVectors => false;

    /// <summary>Whether its reader keeps up.</summary>
    public abstract bool HasRoom { get; }

    /// <summary>The sequence that computes it, while it is at work.</summary>
    public Slot Slot { get; private set; } = null!;

    /// <summary>The last pass that it had a part in.</summary>
    public long LastPass { get; set; }

    /// <summary>Tokens that are not computed yet.</summary>
    public int Pending => Tokens.Count - Slot.Tokens.Count;

    /// <summary>Ends when the job has left its sequence; never with an error.</summary>
    public Task Ended => _ended.Task;

    /// <summary>Takes possession of a sequence, which holds a beginning of <see cref="Tokens"/>.</summary>
    public virtual void Begin(EngineContext context, Slot slot) => Slot = slot;

    /// <summary>Puts tokens into a pass: at most <paramref name="room"/>, and their logits into at most <paramref name="outputRoom"/> rows.</summary>
    public abstract Share Take(PassBatch batch, int room, int outputRoom);

    /// <summary>Makes use of a pass that has been computed. True where the job is done.</summary>
    public abstract bool Advance(EngineContext context, Share share);

    /// <summary>Ends the job, and tells its reader why if not because it is done.</summary>
    public void End(Exception? error)
    {
        Complete(error);
        Release();
        _ended.TrySetResult();
    }

    protected abstract void Complete(Exception? error);

    /// <summary>Gives back what <see cref="Begin"/> made; it may not have been called.</summary>
    protected virtual void Release() { }

    /// <summary>Puts the next pending tokens into a pass, with logits for the last <paramref name="outputs"/> of them.</summary>
    protected Share TakePending(PassBatch batch, int count, int outputs)
    {
        int first = batch.Count, from = Slot.Tokens.Count;
        ReadOnlySpan<int> tokens = CollectionsMarshal.AsSpan(Tokens).Slice(from, count);
        for (int i = 0; i < count; i++) batch.Add(tokens[i], from + i, Slot.Sequence, output: i >= count - outputs);
        return new Share(this, count, first + count - outputs, outputs);
    }
}

/// <summary>A job's part of a pass.</summary>
/// <param name="Job">The job.</param>
/// <param name="Pending">Tokens of the job that the pass computes.</param>
/// <param name="FirstOutput">Where the first of its tokens with logits is in the batch; the others follow.</param>
/// <param name="Outputs">Its tokens with logits.</param>
internal readonly record struct Share(Job Job, int Pending, int FirstOutput, int Outputs);

/// <summary>A job whose reader gets items of one kind.</summary>
internal abstract class Job<T>(IEnumerable<int> tokens, Action roomAgain, CancellationToken cancel) : Job(tokens, cancel)
{
    // Tokens, or rows of logits, that are computed ahead of the reader.
    private const int ItemsAhead = 16;

    public Outbox<T> Output { get; } = new(ItemsAhead, roomAgain);

    public override bool HasRoom => Output.HasRoom;

    protected override void Complete(Exception? error) => Output.Complete(error);
}
