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
/// and what had their place before is computed, and must be there before they are computed with.
/// </summary>
/// <param name="keepsTimeline">Whether <see cref="Timeline"/> is kept.</param>
internal sealed class RingSimulation(bool keepsTimeline)
{
    private sealed class Ring
    {
        private readonly List<(Stretch Place, double At)> _given = []; // places that groups give back, as they are computed
        private readonly List<Stretch> _kept = []; // those of the open group
        private readonly Queue<(double Start, double End)> _taken = []; // times in which the link serves a GPU that reads host memory itself
        private (string? Name, double Done) _open;

        public double LinkFree { get; private set; }

        /// <summary>The group in the ring that is computed from; the one before it gives back its place.</summary>
        public void Open(string group, double now)
        {
            if (group == _open.Name) return;
            foreach (Stretch place in _kept) _given.Add((place, _open.Done));
            _kept.Clear();
            _open = (group, now);
        }

        public void Bring(in Step step, RingSimulation of)
        {
            double bytes = 0;
            foreach (Stretch place in step.Places) bytes += place.To - place.From;
            if (bytes == 0) Bring(step.BringSeconds, step, of);
            foreach (Stretch place in step.Places)
            {
                for (double at = place.From; at < place.To;)
                {
                    // As far as one other had it, or none.
                    double until = place.To;
                    foreach ((Stretch other, double given) in _given)
                    {
                        if (other.From > at) until = Math.Min(until, other.From);
                        else if (other.To > at)
                        {
                            until = Math.Min(until, other.To);
                            LinkFree = Math.Max(LinkFree, given);
                        }
                    }
                    Bring((until - at) / bytes * step.BringSeconds, step, of);
                    at = until;
                }
                Forget(place);
                _kept.Add(place);
            }
        }

        // What had a part of this place has it no more.
        private void Forget(Stretch place)
        {
            for (int i = _given.Count - 1; i >= 0; i--)
            {
                (Stretch other, double at) = _given[i];
                if (!other.Overlaps(place)) continue;
                _given.RemoveAt(i);
                if (other.From < place.From) _given.Add((other with { To = place.From }, at));
                if (other.To > place.To) _given.Add((other with { From = place.To }, at));
            }
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
        if (!_rings.TryGetValue(device, out Ring? ring)) _rings[device] = ring = new();
        return ring;
    }
}
