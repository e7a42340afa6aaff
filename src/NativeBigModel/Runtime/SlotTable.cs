using System.Runtime.InteropServices;

namespace NativeBigModel.Runtime;

/// <summary>The sequences of a context: which are at work, and which hold a beginning that the next job has in common. Used by the thread that owns the context.</summary>
internal sealed class SlotTable(EngineContext context)
{
    private readonly Slot[] _slots = [.. Enumerable.Range(0, context.Sequences).Select(sequence => new Slot(sequence))];
    private long _uses;

    /// <summary>Whether one is not at work.</summary>
    public bool HasFree => Array.Exists(_slots, slot => slot.User is null);

    /// <summary>The one that keeps a session's tokens, or null.</summary>
    public Slot? Of(ModelSession session) => Array.Find(_slots, slot => slot.Owner == session);

    /// <summary>Gives a job one that is free, with as long a beginning of its tokens as there is. The last token is left to be computed, for its logits.</summary>
    public Slot Take(Job job) => Take(job, job.Tokens, job.Session, job.ReusesPrefix ? job.Tokens.Count - 1 : 0);

    /// <summary>Gives a user one that is free, with a beginning of some tokens, <paramref name="most"/> at most.</summary>
    public Slot Take(object user, List<int> tokens, ModelSession? session, int most)
    {
        Slot slot = session is not null && Of(session) is { User: null } own ? own : Choose(tokens, most);
        slot.Keep(context, Math.Min(most, slot.CommonLength(tokens)));
        slot.User = user;
        slot.Owner = session;
        slot.LastUsed = ++_uses;
        return slot;
    }

    public static void Free(Slot slot) => slot.User = null;

    /// <summary>Gives a session what another one holds, where there is a place for it that no session keeps; elsewhere it will compute it. Returns the tokens given.</summary>
    public int Fork(ModelSession from, ModelSession to)
    {
        if (Of(from) is not { Tokens.Count: > 0 } source || TakeEmpty(to) is not { } slot) return 0;
        if (context.CanShare) context.Share(source.Sequence, slot.Sequence, source.Tokens.Count);
        else
        {
            using NativeBuffer state = context.SaveState(source.Sequence);
            if (!context.RestoreState(slot.Sequence, state, source.Tokens.Count)) return 0;
        }
        slot.Add([.. source.Tokens]);
        return slot.Tokens.Count;
    }

    /// <summary>What is held of a session: so many tokens, and their state, or null where there are none.</summary>
    public (int Tokens, NativeBuffer? State) Save(ModelSession session) =>
        Of(session) is { Tokens.Count: > 0 } slot ? (slot.Tokens.Count, context.SaveState(slot.Sequence)) : (0, null);

    /// <summary>Gives a session its state back, likewise. False where llama.cpp refuses it.</summary>
    public bool Load(ModelSession session, ReadOnlySpan<int> tokens, NativeBuffer state)
    {
        if (TakeEmpty(session) is not { } slot) return true;
        if (!context.RestoreState(slot.Sequence, state, tokens.Length)) return false;
        slot.Add(tokens);
        return true;
    }

    /// <summary>Lets others have what a session kept.</summary>
    public bool Disown(ModelSession session)
    {
        if (Of(session) is not { } slot) return false;
        slot.Owner = null;
        return true;
    }

    // For a session that is not computed yet; null where all keep the tokens of others or are at work.
    private Slot? TakeEmpty(ModelSession session)
    {
        Slot? slot = Array.FindAll(_slots, slot => slot.User is null && slot.Owner is null).MinBy(slot => slot.LastUsed);
        slot?.Clear(context);
        if (slot is null) return null;
        slot.Owner = session;
        slot.LastUsed = ++_uses;
        return slot;
    }

    private Slot Choose(List<int> tokens, int most)
    {
        Slot[] free = Array.FindAll(_slots, slot => slot.User is null);
        Slot oldest = free.OrderBy(slot => slot.Tokens.Count > 0).ThenBy(slot => slot.Owner is not null).ThenBy(slot => slot.LastUsed).First();
        Slot? best = (context.CanShare ? _slots : free).Where(slot => Usable(slot, tokens, most) > 0).MaxBy(slot => Usable(slot, tokens, most));
        if (best is null || best == oldest) return oldest;
        int common = Usable(best, tokens, most);
        // What goes on where the other ended takes its place; what only begins like it leaves it there, where both can have the beginning.
        if (best.User is null && best.Owner is null && 2 * common >= best.Tokens.Count) return best;
        if (!context.CanShare) return oldest;
        oldest.Clear(context);
        context.Share(best.Sequence, oldest.Sequence, common);
        oldest.Add(CollectionsMarshal.AsSpan(tokens)[..common]);
        return oldest;
    }

    private int Usable(Slot slot, List<int> tokens, int most)
    {
        int common = Math.Min(most, slot.CommonLength(tokens));
        return context.KeepsParts || common == slot.Tokens.Count ? common : 0;
    }
}
