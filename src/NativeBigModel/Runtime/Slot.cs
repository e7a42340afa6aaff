namespace NativeBigModel.Runtime;

/// <summary>One sequence of the context, and the tokens that it holds. Used by the thread that owns the context.</summary>
internal sealed class Slot(int sequence)
{
    private readonly List<int> _tokens = [];

    public int Sequence { get; } = sequence;

    /// <summary>The tokens whose keys and values the sequence holds.</summary>
    public IReadOnlyList<int> Tokens => _tokens;

    /// <summary>What uses it now, or null.</summary>
    public object? User { get; set; }

    /// <summary>The session whose tokens it keeps, or null.</summary>
    public object? Owner { get; set; }

    /// <summary>Grows with each use.</summary>
    public long LastUsed { get; set; }

    /// <summary>Notes tokens that a pass has added.</summary>
    public void Add(ReadOnlySpan<int> tokens) => _tokens.AddRange(tokens);

    /// <summary>Tokens that it begins with as <paramref name="tokens"/> does.</summary>
    public int CommonLength(IReadOnlyList<int> tokens)
    {
        int most = Math.Min(_tokens.Count, tokens.Count), common = 0;
        while (common < most && _tokens[common] == tokens[common]) common++;
        return common;
    }

    /// <summary>Keeps the first tokens, or none where the memory cannot keep a part.</summary>
    public void Keep(EngineContext context, int count)
    {
        if (count >= _tokens.Count) return;
        int kept = context.Keep(Sequence, count);
        _tokens.RemoveRange(kept, _tokens.Count - kept);
    }

    /// <summary>Takes back what a pass that did not end may have added.</summary>
    public void Restore(EngineContext context)
    {
        int kept = context.Keep(Sequence, _tokens.Count);
        _tokens.RemoveRange(kept, _tokens.Count - kept);
    }

    /// <summary>Forgets everything, whatever the sequence holds.</summary>
    public void Clear(EngineContext context)
    {
        context.Keep(Sequence, 0);
        _tokens.Clear();
        Owner = null;
    }
}
