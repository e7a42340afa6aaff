namespace NativeBigModel.Conversion;

/// <summary>Adds up bytes from many threads and reports about every hundredth, and the end. Reports come one at a time, and never fall.</summary>
internal sealed class ProgressTracker(IProgress<LoadProgress>? progress, long totalBytes)
{
    private readonly Lock _gate = new();
    private readonly long _step = Math.Max(1, totalBytes / 100);
    private long _done;

    public void Add(long bytes)
    {
        lock (_gate)
        {
            long before = _done;
            _done += bytes;
            if (_done / _step != before / _step || _done == totalBytes) progress?.Report(new LoadProgress(LoadPhase.Weights, _done, totalBytes));
        }
    }
}
