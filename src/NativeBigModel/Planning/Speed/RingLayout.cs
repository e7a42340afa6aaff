using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>A stretch of a ring's memory.</summary>
/// <param name="From">Its first byte.</param>
/// <param name="To">The byte behind its last.</param>
internal readonly record struct Stretch(double From, double To)
{
    /// <summary>Whether both have a part in common.</summary>
    public bool Overlaps(Stretch other) => From < other.To && other.From < To;
}

/// <summary>Where what passes through one ring lies in it, as native/ring.cpp lays it out: groups follow each other round the ring, and a tensor lies in one piece.</summary>
internal sealed class RingLayout
{
    private readonly Dictionary<string, ImmutableArray<Stretch>> _places = [];
    private readonly List<string> _order = [];

    private RingLayout() { }

    /// <summary>Lays out a pass.</summary>
    /// <param name="steps">Its steps, each with the group that it belongs to and the bytes of its tensors.</param>
    /// <param name="ring">Bytes of the ring.</param>
    /// <param name="start">Where the first group begins.</param>
    public static RingLayout Of(IReadOnlyList<(string Step, string Group, IReadOnlyList<long> Tensors)> steps, double ring, double start)
    {
        var layout = new RingLayout();
        double at = start;
        for (int i = 0; i < steps.Count;)
        {
            int end = i + 1;
            while (end < steps.Count && steps[end].Group == steps[i].Group) end++;
            (string Step, string Group, IReadOnlyList<long> Tensors)[] group = [.. steps.Skip(i).Take(end - i)];
            at = layout.Place(group, at, ring) ?? layout.Place(group, 0, ring)!.Value;
            i = end;
        }
        return layout;
    }

    /// <summary>Where a step's weights lie.</summary>
    public ImmutableArray<Stretch> Of(string step) => _places.GetValueOrDefault(step, []);

    /// <summary>The steps whose weights are there before any of them is computed, being the first ones of a pass.</summary>
    public IEnumerable<string> First()
    {
        List<Stretch> taken = [];
        foreach (string step in _order)
        {
            if (_places[step].Any(own => taken.Any(own.Overlaps))) yield break;
            taken.AddRange(_places[step]);
            yield return step;
        }
    }

    // Where the group ends; null where what it lacks behind the ring's end is its own beginning.
    private double? Place((string Step, string Group, IReadOnlyList<long> Tensors)[] group, double start, double ring)
    {
        double at = start;
        bool round = false;
        var places = new List<(string, ImmutableArray<Stretch>)>();
        foreach ((string step, _, IReadOnlyList<long> tensors) in group)
        {
            List<Stretch> own = [];
            foreach (long bytes in tensors)
            {
                if (at + bytes > ring && start > 0)
                {
                    if (round) return null;
                    (at, round) = (0, true);
                }
                if (own.Count > 0 && own[^1].To == at) own[^1] = own[^1] with { To = at + bytes };
                else own.Add(new(at, at + bytes));
                at += bytes;
            }
            places.Add((step, [.. own]));
        }
        if (round && at > start) return null;
        foreach ((string step, ImmutableArray<Stretch> own) in places)
        {
            _places[step] = own;
            _order.Add(step);
        }
        return at;
    }
}
