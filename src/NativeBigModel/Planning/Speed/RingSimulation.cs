using System.Runtime.InteropServices;

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
/// <param name="keepsTimeline">Whether <see cref="Timeline"/> is kept.</param>
internal sealed class RingSimulation(IReadOnlyDictionary<string, double> capacities, bool keepsTimeline)
{
    private sealed class Ring(double capacity)
    {
        private readonly Queue<(double Bytes, double At)> _given = []; // room that groups give back, as they are computed
        private readonly Queue<(double Start, double End)> _taken = []; // times in which the link serves a GPU that reads host memory itself
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

        public void Bring(in Step step, RingSimulation of)
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
                double piece = _full < capacity ? Math.Min(left, capacity - _full) : left;
                (_full, left) = (_full + piece, left - piece);
                Bring(piece / step.Bytes * step.BringSeconds, step, of);
            }
            _open.Bytes += step.Bytes;
        }

        private void Bring(double seconds, in Step step, RingSimulation of)
        {
            while (_taken.TryPeek(out (double Start, double End) taken) && (taken.End <= LinkFree || (step.Brings == PlanResource.Link && taken.Start < LinkFree + seconds)))
            {
                _taken.Dequeue();
                if (taken.End <= LinkFree) continue;
                double before = Math.Max(0, taken.Start - LinkFree);
                of.Note(step.Brings, step.Device, step.Item, LinkFree, LinkFree + before);
                (LinkFree, seconds) = (taken.End, seconds - before);
            }
            of.Note(step.Brings, step.Device, step.Item, LinkFree, LinkFree + seconds);
            LinkFree += seconds;
        }

        /// <summary>Nothing is brought from now to then. What was brought so far was there by now.</summary>
        public void Take(double now, double then) => _taken.Enqueue((now, then));

        public void Computed(double at) => _open.Done = at;
    }

    private readonly List<TimelineSegment> _timeline = [];
    private readonly Dictionary<(PlanResource Resource, string Link), double> _busy = [];
    private readonly Dictionary<string, Ring> _rings = [];
    private double _begin = double.PositiveInfinity, _end;

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
                ring.Bring(step, this);
                Now = Math.Max(Now, ring.LinkFree);
            }
            if (step.Linked is { } linked)
            {
                Note(PlanResource.Link, linked.Gpu, step.Item, Now, Now + linked.LinkSeconds);
                Note(PlanResource.Cpu, step.Device, step.Item, Now, Now + linked.CpuSeconds);
                RingOf(linked.Gpu).Take(Now, Now + linked.LinkSeconds);
            }
            else Note(step.Computes, step.Device, step.Item, Now, Now + step.Seconds);
            Now += step.Seconds;
            ring?.Computed(Now);
        }
    }

    /// <summary>Begins to note what is at work; what is at work already is cut here.</summary>
    public void Begin() => (_begin, _end) = (Now, double.PositiveInfinity);

    /// <summary>Notes nothing from this time on; what a link brings for a pass that is still to come is cut here.</summary>
    public void End() => _end = Now;

    /// <summary>Seconds that each was at work between the two times; links each for itself.</summary>
    public IReadOnlyDictionary<(PlanResource Resource, string Link), double> Busy => _busy;

    /// <summary>What was at work between the two times, counted from the first; empty where it is not kept.</summary>
    public IReadOnlyList<TimelineSegment> Timeline => _timeline;

    private void Note(PlanResource resource, string device, string item, double start, double end)
    {
        (start, end) = (Math.Max(start, _begin), Math.Min(end, _end));
        if (end <= start) return;
        CollectionsMarshal.GetValueRefOrAddDefault(_busy, (resource, resource == PlanResource.Link ? device : ""), out _) += end - start;
        if (keepsTimeline) _timeline.Add(new(resource, item, start - _begin, end - _begin) { Device = device });
    }

    private Ring RingOf(string device)
    {
        if (!_rings.TryGetValue(device, out Ring? ring)) _rings[device] = ring = new(capacities.GetValueOrDefault(device, 1));
        return ring;
    }
}
