namespace NativeBigModel.Planning;

/// <summary>Something at work for a while.</summary>
/// <param name="Resource">Who.</param>
/// <param name="Item">On which item of the plan.</param>
/// <param name="Start">Seconds since the pass began.</param>
/// <param name="End">Seconds since the pass began.</param>
public sealed record TimelineSegment(PlanResource Resource, string Item, double Start, double End);

/// <summary>
/// Passes over a model, one after the other, as the ring carries them: items are computed in their order; weights travel one after the other while the link is free and the
/// ring has room, which a group gives back when it is computed, and a group must be there before that.
/// </summary>
/// <param name="capacity">Bytes of the ring that can be full at once.</param>
internal sealed class RingSimulation(double capacity)
{
    private readonly List<TimelineSegment> _segments = [];
    private readonly Queue<(double Bytes, double At)> _given = []; // room that groups give back, as they are computed
    private double _linkFree, _full;
    private (string? Name, double Bytes, double Done) _open;

    /// <summary>The end of the last pass.</summary>
    public double Now { get; private set; }

    public void Run(IReadOnlyList<Step> steps)
    {
        foreach (Step step in steps)
        {
            if (step.Group is { } group)
            {
                if (group != _open.Name)
                {
                    _given.Enqueue((_open.Bytes, _open.Done));
                    _open = (group, 0, Now);
                }
                Bring(step);
                _open.Bytes += step.Bytes;
                Now = Math.Max(Now, _linkFree);
            }
            if (step.Seconds > 0) _segments.Add(new(step.Computes, step.Item, Now, Now + step.Seconds));
            Now += step.Seconds;
            if (step.Group is not null) _open.Done = Now;
        }
    }

    /// <summary>What was at work between two times, cut there and counted from the first.</summary>
    public IEnumerable<TimelineSegment> Between(double start, double end) =>
        _segments.Where(segment => segment.End > start && segment.Start < end).Select(segment => segment with { Start = Math.Max(segment.Start, start) - start, End = Math.Min(segment.End, end) - start });

    private void Bring(Step step)
    {
        double left = step.Bytes;
        while (left > 0)
        {
            while (_given.TryPeek(out (double Bytes, double At) given) && (given.At <= _linkFree || _full >= capacity))
            {
                _linkFree = Math.Max(_linkFree, given.At);
                _full -= given.Bytes;
                _given.Dequeue();
            }
            // A group that is larger than what is left beside the one before it has all of the ring.
            double piece = _full < capacity ? Math.Min(left, capacity - _full) : left, end = _linkFree + piece / step.Bytes * step.BringSeconds;
            _segments.Add(new(step.Brings, step.Item, _linkFree, end));
            (_linkFree, _full, left) = (end, _full + piece, left - piece);
        }
    }
}
