namespace NativeBigModel.Planning;

/// <summary>Something at work for a while.</summary>
/// <param name="Resource">Who.</param>
/// <param name="Item">On which item of the plan.</param>
/// <param name="Start">Seconds since the pass began.</param>
/// <param name="End">Seconds since the pass began.</param>
public sealed record TimelineSegment(PlanResource Resource, string Item, double Start, double End)
{
    /// <summary>The <see cref="DeviceName"/> that computes, or that something is brought to; empty where nobody said.</summary>
    public string Device { get; init; } = "";
}

/// <summary>
/// Passes over a model, one after the other, as the rings carry them: items are computed in their order; weights travel to each device one after the other while its link is free
/// and its ring has room, which a group gives back when it is computed, and a group must be there before that.
/// </summary>
/// <param name="capacities">Bytes of each device's ring that can be full at once.</param>
internal sealed class RingSimulation(IReadOnlyDictionary<string, double> capacities)
{
    private sealed class Ring(double capacity)
    {
        private readonly Queue<(double Bytes, double At)> _given = []; // room that groups give back, as they are computed
        private double _full;
        private (string? Name, double Bytes, double Done) _open;

        public double LinkFree { get; private set; }

        /// <summary>The group in the ring that is computed from; the one before it gives back its room.</summary>
        public void Open(string group, double now)
        {
            if (group == _open.Name) return;
            _given.Enqueue((_open.Bytes, _open.Done));
            _open = (group, 0, now);
        }

        public IEnumerable<(double Start, double End)> Bring(Step step)
        {
            double left = step.Bytes;
            while (left > 0)
            {
                while (_given.TryPeek(out (double Bytes, double At) given) && (given.At <= LinkFree || _full >= capacity))
                {
                    LinkFree = Math.Max(LinkFree, given.At);
                    _full -= given.Bytes;
                    _given.Dequeue();
                }
                // A group that is larger than what is left beside the one before it has all of the ring.
                double piece = _full < capacity ? Math.Min(left, capacity - _full) : left, start = LinkFree, end = start + piece / step.Bytes * step.BringSeconds;
                (LinkFree, _full, left) = (end, _full + piece, left - piece);
                yield return (start, end);
            }
            _open.Bytes += step.Bytes;
        }

        public void Computed(double at) => _open.Done = at;
    }

    private readonly List<TimelineSegment> _segments = [];
    private readonly Dictionary<string, Ring> _rings = [];

    /// <summary>Whether what is at work is kept from now on, for <see cref="Between"/>.</summary>
    public bool Records { get; set; }

    /// <summary>The end of the last pass.</summary>
    public double Now { get; private set; }

    public void Run(IReadOnlyList<Step> steps)
    {
        foreach (Step step in steps)
        {
            Ring? ring = step.Group is null ? null : RingOf(step.Device);
            if (ring is not null)
            {
                ring.Open(step.Group!, Now);
                foreach ((double start, double end) in ring.Bring(step))
                {
                    if (Records) _segments.Add(new(step.Brings, step.Item, start, end) { Device = step.Device });
                }
                Now = Math.Max(Now, ring.LinkFree);
            }
            if (Records && step.Seconds > 0) _segments.Add(new(step.Computes, step.Item, Now, Now + step.Seconds) { Device = step.Device });
            Now += step.Seconds;
            ring?.Computed(Now);
        }
    }

    /// <summary>What was at work between two times, cut there and counted from the first.</summary>
    public IEnumerable<TimelineSegment> Between(double start, double end) =>
        _segments.Where(segment => segment.End > start && segment.Start < end).Select(segment => segment with { Start = Math.Max(segment.Start, start) - start, End = Math.Min(segment.End, end) - start });

    private Ring RingOf(string device)
    {
        if (!_rings.TryGetValue(device, out Ring? ring)) _rings[device] = ring = new(capacities.GetValueOrDefault(device, 1));
        return ring;
    }
}
