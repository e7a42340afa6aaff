namespace NativeBigModel.Planning;

/// <summary>Something at work for a while.</summary>
/// <param name="Resource">Who.</param>
/// <param name="Item">On which item of the plan.</param>
/// <param name="Start">Seconds since the pass began.</param>
/// <param name="End">Seconds since the pass began.</param>
public sealed record TimelineSegment(PlanResource Resource, string Item, double Start, double End);

/// <summary>
/// Passes over a model, one after the other, as the ring carries them: items are computed in their order; the weights of a group may travel as soon as the link is free
/// and the group that had its slot is done, and must be there before it is computed.
/// </summary>
internal sealed class RingSimulation(int slots)
{
    private readonly List<TimelineSegment> _segments = [];
    private readonly List<double> _done = []; // when each group was done, over all passes
    private double _linkFree;

    /// <summary>The end of the last pass.</summary>
    public double Now { get; private set; }

    public void Run(IReadOnlyList<Step> steps)
    {
        string? open = null;
        foreach (Step step in steps)
        {
            if (step.Group is { } group)
            {
                double begin = group == open ? _linkFree : Math.Max(_linkFree, _done.Count >= slots ? _done[^slots] : 0);
                if (group != open) _done.Add(0);
                open = group;
                _linkFree = begin + step.BringSeconds;
                _segments.Add(new(step.Brings, step.Item, begin, _linkFree));
                Now = Math.Max(Now, _linkFree);
            }
            if (step.Seconds > 0) _segments.Add(new(step.Computes, step.Item, Now, Now + step.Seconds));
            Now += step.Seconds;
            if (step.Group is not null) _done[^1] = Now;
        }
    }

    /// <summary>What was at work between two times, cut there and counted from the first.</summary>
    public IEnumerable<TimelineSegment> Between(double start, double end) =>
        _segments.Where(segment => segment.End > start && segment.Start < end).Select(segment => segment with { Start = Math.Max(segment.Start, start) - start, End = Math.Min(segment.End, end) - start });
}
