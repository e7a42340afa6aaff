namespace NativeBigModel.Conversion;

/// <summary>Adds up bytes from many threads and reports about every hundredth.</summary>
internal sealed class ProgressTracker(IProgress<LoadProgress>? progress, long totalBytes)
{
    private readonly long _step = Math.Max(1, totalBytes / 100);
    private long _done;

    public void Add(long bytes)
    {
        long done = Interlocked.Add(ref _done, bytes);
        if (done / _step != (done - bytes) / _step) progress?.Report(new LoadProgress(LoadPhase.Weights, done, totalBytes));
    }
}
