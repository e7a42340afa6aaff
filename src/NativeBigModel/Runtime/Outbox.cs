using System.Threading.Channels;

namespace NativeBigModel.Runtime;

/// <summary>What a job has made and its reader has not taken yet. The engine adds no more where it is full; it never waits for the reader.</summary>
internal sealed class Outbox<T>(int capacity, Action roomAgain)
{
    private readonly Channel<T> _items = Channel.CreateUnbounded<T>(new UnboundedChannelOptions { SingleReader = true, SingleWriter = true });
    private int _count;

    /// <summary>Whether the reader keeps up.</summary>
    public bool HasRoom => Volatile.Read(ref _count) < capacity;

    /// <summary>Adds an item, past the capacity if one pass made several.</summary>
    public void Add(T item)
    {
        Interlocked.Increment(ref _count);
        _items.Writer.TryWrite(item);
    }

    /// <summary>Nothing follows; the reader gets <paramref name="error"/> after what is there.</summary>
    public void Complete(Exception? error) => _items.Writer.TryComplete(error);

    /// <summary>Waits for an item; false where none follows.</summary>
    public ValueTask<bool> WaitAsync(CancellationToken cancel) => _items.Reader.WaitToReadAsync(cancel);

    /// <summary>Takes an item, and wakes the engine, which may have stopped for want of room, when half of it is free.</summary>
    public bool TryTake(out T item)
    {
        if (!_items.Reader.TryRead(out item!)) return false;
        if (Interlocked.Decrement(ref _count) == capacity / 2) roomAgain();
        return true;
    }
}
