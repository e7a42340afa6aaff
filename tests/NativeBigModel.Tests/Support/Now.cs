namespace NativeBigModel.Tests;

/// <summary>Progress that is told at once, on the thread that reports.</summary>
internal sealed class Now(Action<LoadProgress> tell) : IProgress<LoadProgress>
{
    public void Report(LoadProgress value) => tell(value);
}

internal static class ProgressOrder
{
    /// <summary>Phases in order, bytes that never fall within one, all bytes delivered, and Ready last.</summary>
    public static void Require(IReadOnlyList<LoadProgress> seen)
    {
        Assert.Equal(LoadPhase.Ready, seen[^1].Phase);
        Assert.Equal(seen[^1].BytesTotal, seen[^1].BytesDone);
        LoadProgress last = seen.Last(step => step.Phase == LoadPhase.Weights);
        Assert.Equal(last.BytesTotal, last.BytesDone);
        Assert.True(seen.Count(step => step.Phase == LoadPhase.Weights) >= 10, "too few reports to show a bar");
        for (int i = 1; i < seen.Count; i++)
        {
            Assert.True(seen[i].Phase >= seen[i - 1].Phase, $"{seen[i]} after {seen[i - 1]}");
            Assert.True(seen[i].Phase > seen[i - 1].Phase || seen[i].BytesDone >= seen[i - 1].BytesDone, $"{seen[i]} after {seen[i - 1]}");
        }
    }
}
