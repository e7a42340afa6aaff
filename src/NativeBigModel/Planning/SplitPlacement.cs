using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>Which of the feed-forward networks beyond the GPUs the CPU computes.</summary>
internal enum NetworkOrder
{
    /// <summary>Spread evenly.</summary>
    Even,

    /// <summary>
    /// Evenly but for the ends: the first streams, which is there when a pass begins, for tokens and prompts alike; and the last is the CPU's, as nothing of it travels for a prompt, of which
    /// one token passes it.
    /// </summary>
    StreamedFirst,
}

/// <summary>
/// Layers and their feed-forward networks apart, for several links, or a link and the CPU, at once. Each GPU takes layers that follow each other, as many as suit its room, and
/// keeps what it can of them, attention before feed-forward networks. Of what is left the CPU computes a share of the feed-forward networks where they rest, spread evenly, while
/// everything between them streams: a layer's attention to the GPU that has its keys and values, and its feed-forward network to the one whose link is least behind. So every link
/// is at work through all of a token, whichever GPU computes.
/// </summary>
internal sealed class SplitPlacement
{
    // Of a network, what the CPU must lack to compute one more.
    private const double Half = 0.5, Nearly = 0.9;

    private readonly bool _streamAll;
    private readonly double _cpuShare;
    private readonly NetworkOrder _order;
    private readonly double _ringLayers;
    private readonly Func<string, double> _linkSpeed;
    private readonly DeviceLedger _devices;
    private readonly IReadOnlyList<Item> _items;
    private readonly string[] _gpus; // compute layers, in their order; host memory where there are none
    private readonly string[] _targets; // of these, those with a ring
    private readonly Dictionary<string, string> _ownerOf = []; // the GPU that an item belongs to
    private readonly HashSet<string> _kept = []; // items that stay there
    private readonly Dictionary<string, double> _behind = []; // seconds that a target's link is at work for one token so far
    private string[] _computing = []; // the targets that have items
    private List<LayerPlacement> _layers = [];
    private Dictionary<string, long> _rings = []; // bytes of each target's
    private long _left; // bytes that did not find room on a GPU so far
    private long _onCpu; // of these, what the CPU computes
    private double _share; // which share of them that is to be, in whole networks

    private SplitPlacement(MemoryLimits limits, ComputeBuffers compute, bool streamAll, IReadOnlyList<Item> items, double cpuShare, NetworkOrder order, double ringLayers, Func<string, double> linkSpeed, int rings)
    {
        (_streamAll, _items, _cpuShare, _order, _ringLayers, _linkSpeed, _devices) = (streamAll, items, cpuShare, order, ringLayers, linkSpeed, new DeviceLedger(limits, compute));
        _gpus = limits.Gpus.IsEmpty ? [DeviceName.Host] : [.. limits.Gpus.Keys.Select(DeviceName.Gpu)];
        HashSet<string> targets = [_gpus[^1], .. _gpus.SkipLast(1).OrderByDescending(_devices.RoomOf).Take(rings - 1)];
        _targets = [.. _gpus.Where(targets.Contains)];
    }

    /// <summary>Places <paramref name="items"/>: input, for each layer the layer without its feed-forward part and that part, output.</summary>
    /// <param name="limits">What each device may hold.</param>
    /// <param name="compute">What each needs to compute in.</param>
    /// <param name="streamAll">Whether nothing is to stay on a GPU.</param>
    /// <param name="items">The items.</param>
    /// <param name="cpuShare">The share of what is beyond the GPUs that the CPU computes, 0 to 1.</param>
    /// <param name="order">Which of them it computes.</param>
    /// <param name="ringLayers">Length of each ring in layers.</param>
    /// <param name="linkSpeed">Bytes per second of the link to a device.</param>
    /// <exception cref="DoesNotFitException">Something that must be in memory has no room.</exception>
    public static (List<LayerPlacement> Layers, ImmutableArray<DevicePlan> Devices) Place(
        MemoryLimits limits, ComputeBuffers compute, bool streamAll, IReadOnlyList<Item> items, double cpuShare, NetworkOrder order, double ringLayers, Func<string, double> linkSpeed)
    {
        SplitPlacement Try(int links, bool readsDisk, Dictionary<string, long>? mostRings)
        {
            var placement = new SplitPlacement(limits, compute, streamAll, items, cpuShare, order, ringLayers, linkSpeed, links);
            placement.Run(readsDisk, mostRings);
            return placement;
        }
        SplitPlacement Fit(int links, bool readsDisk)
        {
            SplitPlacement first = Try(links, readsDisk, null);
            // The largest group may have stayed on a GPU or been split, and then its ring is smaller than what was kept free for it, and more can stay.
            SplitPlacement second = Try(links, readsDisk, first._rings);
            return second._rings.All(ring => ring.Value <= first._rings[ring.Key]) ? second : first;
        }
        // What a disk's bytes pass through takes room in host memory that layers could have, so it is there only if something must stay on disk.
        SplitPlacement With(int links)
        {
            SplitPlacement inMemory = Fit(links, readsDisk: false);
            return inMemory._layers.Exists(layer => layer.Device == DeviceName.Disk) ? Fit(links, readsDisk: true) : inMemory;
        }
        // A ring takes the room of layers, and a second link is worth that only if there is enough for both to bring.
        SplitPlacement best = With(1);
        for (int links = 2; links <= limits.Gpus.Count; links++)
        {
            try
            {
                SplitPlacement other = With(links);
                if (other.Busiest < best.Busiest) best = other;
            }
            catch (DoesNotFitException) { }
        }
        return (best._layers, best._devices.ToPlan());
    }

    // Seconds that the busiest link takes for one token.
    private double Busiest => _behind.Values.DefaultIfEmpty().Max();

    private void Run(bool readsDisk, Dictionary<string, long>? mostRings)
    {
        _devices.TakeForInput(_items[0].WeightBytes, 0);
        Item output = _items[^1];
        string last = _targets[^1];
        long longest = RingSize.AtMost(last, _ringLayers, _items.Where(Streams));
        // An output that is larger than a layer makes the ring so much longer that it may as well stay.
        long cache = _items.Sum(item => item.KvBytes) / _targets.Length;
        bool outputStays = Keeps(last) && _devices.HasRoom(last, cache + longest + output.WeightBytes + output.SharedBytes);
        foreach (string target in _targets)
        {
            long ring = target == last && !outputStays ? RingSize.AtMost(target, _ringLayers, _items.Skip(1)) : longest;
            _devices.AddRing(target, mostRings is null ? ring : Math.Min(ring, mostRings[target]));
        }
        // An embedding that is used twice is not streamed.
        _ownerOf[output.Name] = last;
        if (Keeps(last) && (output.SharedBytes > 0 || outputStays))
        {
            _devices.Take(last, output.WeightBytes + output.SharedBytes, 0);
            _kept.Add(output.Name);
        }
        if (readsDisk) _devices.ReserveStaging(StagingSize.AtMost(_targets, _items.Skip(1).Where(item => !_kept.Contains(item.Name))));
        ShareOut();
        _computing = [.. _targets.Where(_ownerOf.ContainsValue)];
        foreach (Item item in _items.Skip(1)) _devices.Take(_ownerOf[item.Name], 0, item.KvBytes);
        Item? lastNetwork = _cpuShare > 0 && _order == NetworkOrder.StreamedFirst ? _items.LastOrDefault(item => item.IsFeedForward) : null; // of the networks, to be the CPU's
        foreach (string target in _gpus.Where(Keeps))
        {
            List<Item> own = [.. _items.Skip(1).Where(item => _ownerOf[item.Name] == target && !_kept.Contains(item.Name))];
            KeepEvenly([.. own.Where(item => !item.IsFeedForward)], target);
            KeepEvenly([.. own.Where(item => item.IsFeedForward && item != lastNetwork)], target);
            KeepEvenly([.. own.Where(item => item == lastNetwork)], target);
        }
        _share = InWholeNetworks([.. _items.Skip(1).Where(item => !_kept.Contains(item.Name))]);
        _layers = [new(Item.Input, DeviceName.Host, DeviceName.Host, false, _items[0].WeightBytes, 0), .. _items.Skip(1).Select(Settle)];
        _rings = _targets.ToDictionary(target => target, target => RingSize.Of(target, _ringLayers, _layers, _items));
        foreach ((string target, long ring) in _rings) _devices.AddRing(target, ring - _devices.RingOf(target));
        _devices.SettleStaging(StagingSize.Of(_layers, _items));
    }

    // Layers that follow each other: to a GPU without a ring those that it has room for, and to each with one in the proportion of its room, at least for their caches.
    private void ShareOut()
    {
        List<List<Item>> layers = [];
        foreach (Item item in _items.Skip(1).SkipLast(1))
        {
            if (item.IsFeedForward) layers[^1].Add(item);
            else layers.Add([item]);
        }
        double[] room = [.. _gpus.Select(gpu => (double)Math.Max(0, _devices.RoomOf(gpu)))];
        int next = 0;
        for (int i = 0; i < _gpus.Length; i++)
        {
            bool resident = !_targets.Contains(_gpus[i]), last = i == _gpus.Length - 1;
            double most = resident ? (_streamAll ? 0 : room[i]) : layers.Skip(next).Sum(Bytes) * room[i] / Math.Max(1, room.Skip(i).Sum()), taken = 0, caches = 0;
            for (; next < layers.Count; next++)
            {
                List<Item> layer = layers[next];
                if (!last && (taken + Bytes(layer) * (resident ? 1 : 0.5) > most || (caches += layer.Sum(item => item.KvBytes)) > room[i])) break;
                foreach (Item item in layer) _ownerOf[item.Name] = _gpus[i];
                taken += Bytes(layer);
            }
        }

        static long Bytes(List<Item> layer) => layer.Sum(item => item.WeightBytes + item.KvBytes);
    }

    // As many as have room from the first on, spread over all; sizes differ, so what room is left is offered again.
    private void KeepEvenly(List<Item> items, string target)
    {
        long taken = 0;
        int count = items.TakeWhile(item => _devices.HasRoom(target, taken += item.WeightBytes)).Count();
        foreach (Item item in Spread.Evenly(count, items.Count).Select(i => items[i]).Concat(items))
        {
            if (_kept.Contains(item.Name) || !_devices.HasRoom(target, item.WeightBytes)) continue;
            _devices.Add(target, item.WeightBytes, 0);
            _kept.Add(item.Name);
        }
    }

    private double InWholeNetworks(List<Item> left)
    {
        double network = left.Where(item => item.IsFeedForward).Select(item => (double)item.WeightBytes).DefaultIfEmpty().Average(), all = left.Sum(item => (double)item.WeightBytes);
        return network > 0 ? Math.Round(_cpuShare * all / network) * network / all : _cpuShare;
    }

    private LayerPlacement Settle(Item item)
    {
        string owner = _ownerOf[item.Name];
        if (_kept.Contains(item.Name)) return new(item.Name, owner, owner, false, item.WeightBytes + item.SharedBytes, item.KvBytes);
        if (item.WeightBytes == 0) return new(item.Name, owner, owner, false, 0, item.KvBytes);
        _left += item.WeightBytes;
        string device = _devices.TryHostForLayer(item.WeightBytes, 0) ?? DeviceName.Disk;
        _devices.Add(device, item.WeightBytes, 0);
        if (device == DeviceName.Host && item.IsFeedForward && _onCpu + (_order == NetworkOrder.Even ? Half : Nearly) * item.WeightBytes <= _share * _left)
        {
            _onCpu += item.WeightBytes;
            return new(item.Name, device, DeviceName.Host, false, item.WeightBytes, item.KvBytes);
        }
        double After(string target) => _behind.GetValueOrDefault(target) + item.WeightBytes / _linkSpeed(target);
        string computes = item.IsFeedForward ? _computing.OrderBy(After).ThenBy(target => target == owner ? 0 : 1).First() : owner;
        _behind[computes] = After(computes);
        return new(item.Name, device, computes, true, item.WeightBytes, item.KvBytes);
    }

    private bool Keeps(string target) => !_streamAll && target != DeviceName.Host;

    private static bool Streams(Item item) => item.Name is not (Item.Input or Item.Output);
}
