using System.Numerics.Tensors;
using System.Runtime.CompilerServices;

namespace NativeBigModel.Runtime;

/// <summary>A model that guesses for another one. Its context is used by the thread of the other while that holds its gate.</summary>
internal static class DraftModel
{
    // Vocabularies of one family are padded to different sizes; the tokens themselves are the same.
    private const int Padding = 128;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(1);
    private static readonly ConditionalWeakTable<BigModel, ConditionalWeakTable<BigModel, object>> s_agreed = [];

    /// <summary>Whether a model can guess for another.</summary>
    /// <exception cref="InvalidOptionException">It cannot; the message says where they differ.</exception>
    public static void Require(BigModel model, BigModel draft)
    {
        if (ReferenceEquals(model, draft)) throw new InvalidOptionException("draft: a model cannot guess for itself");
        ObjectDisposedException.ThrowIf(draft.Engine.IsClosed, draft);
        ConditionalWeakTable<BigModel, object> agreed = s_agreed.GetOrCreateValue(model);
        if (agreed.TryGetValue(draft, out _)) return;
        (Tokenizer own, Tokenizer other) = (model.Tokenizer, draft.Tokenizer);
        int common = Math.Min(own.TokenCount, other.TokenCount);
        if (Math.Abs(own.TokenCount - other.TokenCount) > Padding || own.HasText != other.HasText)
            throw new InvalidOptionException($"draft: its vocabulary has {other.TokenCount} tokens, and the model's {own.TokenCount}");
        for (int token = 0; token < common && own.HasText; token++)
        {
            if (!own.Piece(token).AsSpan().SequenceEqual(other.Piece(token))) throw new InvalidOptionException($"draft: token {token} is '{other.Decode([token])}', and the model's is '{own.Decode([token])}'");
        }
        agreed.AddOrUpdate(draft, agreed);
    }

    /// <summary>Guesses for several generations together, so many tokens for each; or not at all while the draft is busy, with prompts of its own or with a model that guesses for it.</summary>
    /// <exception cref="ObjectDisposedException">The draft model was disposed of.</exception>
    public static void Guess(BigModel draft, IReadOnlyList<(GenerationJob Job, int Most)> asked)
    {
        Engine engine = draft.Engine;
        if (!engine.ContextGate.TryEnter(s_patience)) return;
        try
        {
            ObjectDisposedException.ThrowIf(engine.IsClosed, draft);
            List<(GenerationJob Job, int Most)> open = [.. asked.Where(one => Prepare(engine, draft, one.Job))];
            while (open.Count > 0)
            {
                List<Share> shares = Compose(engine.Context, open);
                if (!Compute(engine.Context, shares)) return;
                foreach (Share share in shares)
                {
                    if (!Advance(engine.Context, share, open.Find(one => one.Job == share.Job).Most)) open.RemoveAll(one => one.Job == share.Job);
                }
            }
        }
        finally { engine.ContextGate.Exit(); }
    }

    /// <summary>Gives back the sequence in which was guessed for a generation.</summary>
    public static void Release(BigModel draft, Slot slot)
    {
        SlotTable.Free(slot);
        draft.Engine.Wake();
    }

    // The sequence holds what it has in common with the generation; the last token is computed anew, for its logits.
    private static bool Prepare(Engine engine, BigModel draft, GenerationJob job)
    {
        if (job.Tokens.Count >= engine.Context.Length || job.Tokens.Exists(token => token >= draft.Tokenizer.TokenCount)) return false;
        if (job.DraftSlot is null)
        {
            if (!engine.Slots.HasFree) return false;
            job.DraftSlot = engine.Slots.Take(job, job.Tokens, null, job.Tokens.Count - 1);
        }
        job.DraftSlot.Keep(engine.Context, Math.Min(job.Tokens.Count - 1, job.DraftSlot.CommonLength(job.Tokens)));
        return true;
    }

    private static bool Compute(EngineContext context, List<Share> shares)
    {
        context.Rearm();
        try
        {
            if (context.Compute()) return true;
        }
        catch
        {
            foreach (Share share in shares) ((GenerationJob)share.Job).DraftSlot!.Clear(context);
            throw;
        }
        foreach (Share share in shares) ((GenerationJob)share.Job).DraftSlot!.Restore(context);
        return false;
    }

    // Whether one more guess may follow.
    private static bool Advance(EngineContext context, Share share, int most)
    {
        var job = (GenerationJob)share.Job;
        for (int i = 0; i < share.Pending; i++) job.DraftSlot!.Add([job.Ahead(job.DraftSlot.Tokens.Count)]);
        return share.Outputs == 0 || (job.AddGuess(context.Logits(share.FirstOutput)) && job.Guesses.Count < most && job.AheadCount < context.Length);
    }

    private static List<Share> Compose(EngineContext context, List<(GenerationJob Job, int Most)> open)
    {
        PassBatch batch = context.Batch;
        batch.Clear();
        var shares = new List<Share>();
        foreach ((GenerationJob job, _) in open)
        {
            if (batch.Room == 0 || batch.OutputRoom == 0) break;
            int from = job.DraftSlot!.Tokens.Count, pending = job.AheadCount - from, count = Math.Min(pending, batch.Room);
            for (int i = 0; i < count; i++) batch.Add(job.Ahead(from + i), from + i, job.DraftSlot.Sequence, output: i == pending - 1);
            shares.Add(new Share(job, count, batch.Count - 1, count == pending ? 1 : 0));
        }
        return shares;
    }

    /// <summary>The likeliest of the tokens that both models have.</summary>
    public static int Likeliest(ReadOnlySpan<float> logits, int vocabulary) => Math.Max(0, TensorPrimitives.IndexOfMax(logits[..Math.Min(logits.Length, vocabulary)]));
}
