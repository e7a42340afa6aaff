namespace NativeBigModel.Runtime;

/// <summary>
/// The vectors that a text's pooling needs: that of its first token, of its last, or of all. llama.cpp gives vectors for each token of a pass or for none, and a pass may
/// have few outputs: what comes before the last token is computed without.
/// </summary>
internal sealed class VectorJob(IEnumerable<int> tokens, Pooling pooling, int length, Action roomAgain, CancellationToken cancel) : Job<float[]>(tokens, roomAgain, cancel)
{
    public override bool NeedsVectors => pooling != Pooling.Last || Pending == 1;

    public override Share Take(PassBatch batch, int room, int outputRoom)
    {
        if (!NeedsVectors) return TakePending(batch, Math.Min(Pending - 1, room), 0);
        int count = pooling == Pooling.Cls ? 1 : Math.Min(Pending, Math.Min(room, outputRoom));
        return TakePending(batch, count, count);
    }

    public override bool Advance(EngineContext context, Share share)
    {
        for (int i = 0; i < share.Outputs; i++) Output.Add(context.Vector(share.FirstOutput + i, length).ToArray());
        return Pending == 0 || pooling == Pooling.Cls;
    }
}
