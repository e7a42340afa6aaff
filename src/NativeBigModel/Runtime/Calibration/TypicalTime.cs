using System.Diagnostics;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>How long something takes mostly: what other programs take of the machine, they will take from a model too.</summary>
internal static class TypicalTime
{
    /// <summary>The median of its times, in seconds.</summary>
    /// <param name="what">Done again and again.</param>
    /// <param name="warmups">So many at first do not count.</param>
    /// <param name="least">Times that count, on a machine so slow that fewer take the budget.</param>
    /// <param name="budget">About how long in all.</param>
    /// <param name="cancel">Stops it between two.</param>
    public static double Of(Action what, int warmups, int least, TimeSpan budget, CancellationToken cancel) => InTurn([what], null, warmups, least, budget, 0.5, cancel)[0];

    /// <summary>One of the times of each of several, which are done in turn: what makes the machine slower meanwhile makes each of them slower.</summary>
    /// <param name="whats">Done again and again.</param>
    /// <param name="before">Done with the number of each before it, and not counted.</param>
    /// <param name="warmups">So many at first do not count.</param>
    /// <param name="least">Times that count, on a machine so slow that fewer take the budget.</param>
    /// <param name="budget">About how long in all.</param>
    /// <param name="share">Of the times that are no longer than the one that is given: 0.5 for the median.</param>
    /// <param name="cancel">Stops it between two.</param>
    public static double[] InTurn(IReadOnlyList<Action> whats, Action<int>? before, int warmups, int least, TimeSpan budget, double share, CancellationToken cancel)
    {
        List<double>[] times = [.. whats.Select(_ => new List<double>())];
        long started = Stopwatch.GetTimestamp();
        while (times[0].Count < warmups + least || Stopwatch.GetElapsedTime(started) < budget)
        {
            for (int i = 0; i < times.Length; i++)
            {
                cancel.ThrowIfCancellationRequested();
                before?.Invoke(i);
                long begun = Stopwatch.GetTimestamp();
                whats[i]();
                times[i].Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            }
        }
        return [.. times.Select(counted => counted.Skip(warmups).Order().ElementAt((int)((counted.Count - warmups - 1) * share)))];
    }
}
