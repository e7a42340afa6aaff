namespace NativeBigModel.Runtime;

/// <summary>The logits at every position of a sequence.</summary>
internal sealed class LogitsJob(IEnumerable<int> tokens, Action roomAgain, CancellationToken cancel) : Job<float[]>(tokens, roomAgain, cancel)
{
    private const int RowsPerPass = 16;

    public override Share Take(PassBatch batch, int room, int outputRoom)
    {
        int count = Math.Min(Math.Min(RowsPerPass, Pending), Math.Min(room, outputRoom));
        return TakePending(batch, count, count);
    }

    public override bool Advance(EngineContext context, Share share)
    {
        for (int i = 0; i < share.Outputs; i++) Output.Add(context.Logits(share.FirstOutput + i).ToArray());
        return Pending == 0;
    }
}
