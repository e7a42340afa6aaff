using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>
/// The link and the CPU at once. The last GPU keeps what it has room for, attention before feed-forward networks; of what is left the CPU computes a share of
/// the feed-forward networks where they rest, spread evenly, while everything between them streams. Prompts stream all of it.
/// </summary>
internal sealed class HybridPlacement
{
    private readonly MemoryLimits _limits;
    private readonly bool _streamAll;
    private readonly double _cpuShare;
    private readonly double _ringLayers;
    private readonly DeviceLedger _devices;
    private readonly string _target;
    private readonly Dictionary<string, string> _gpuOf = []; // of the items that stay on a GPU
    private List<LayerPlacement> _layers = [];
    private long _ring; // bytes of it
    private long _left; // bytes that did not find room on a GPU so far
    private long _onCpu; // of these, what the CPU computes

    private HybridPlacement(MemoryLimits limits, ComputeBuffers compute, bool streamAll, double cpuShare, double ringLayers)
    {
        (_limits, _streamAll, _cpuShare, _ringLayers, _devices) = (limits, streamAll, cpuShare, ringLayers, new DeviceLedger(limits, compute));
        _target = limits.Gpus.IsEmpty ? DeviceName.Host : DeviceName.Gpu(limits.Gpus.Keys.Last());
    }

    /// <summary>Places <paramref name="items"/>: input, for each layer the layer without its feed-forward part and that part, output.</summary>
    /// <exception cref="DoesNotFitException">Something that must be in memory has no room.</exception>
    public static (List<LayerPlacement> Layers, ImmutableArray<DevicePlan> Devices) Place(
        MemoryLimits limits, ComputeBuffers compute, bool streamAll, IReadOnlyList<Item> items, double cpuShare, double ringLayers)
    {
        HybridPlacement Try(long mostRing)
        {
            var placement = new HybridPlacement(limits, compute, streamAll, cpuShare, ringLayers);
            placement.Run(items, mostRing);
            return placement;
        }
        HybridPlacement first = Try(long.MaxValue);
        // The largest group may have stayed on the GPU or been split, and then the ring is smaller than what was kept free for it, and more can stay.
        HybridPlacement second = Try(first._ring);
        HybridPlacement best = second._ring <= first._ring ? second : first;
        return (best._layers, best._devices.ToPlan());
    }

    private void Run(IReadOnlyList<Item> items, long mostRing)
    {
        _devices.TakeForInput(items[0].WeightBytes, 0);
        List<Item> rest = [.. items.Skip(1)];
        int onOthers = FillOtherGpus(rest);
        List<Item> own = rest[onOthers..];
        bool keeps = !_streamAll && _target != DeviceName.Host;
        long kv = own.Sum(item => item.KvBytes), ring = RingSize.AtMost(_ringLayers, own[..^1]);
        // An output that is larger than a layer makes the ring so much longer that it may as well stay.
        bool outputStays = keeps && _devices.HasRoom(_target, kv + ring + own[^1].WeightBytes + own[^1].SharedBytes);
        ring = Math.Min(mostRing, outputStays ? ring : RingSize.AtMost(_ringLayers, own));
        _devices.AddRing(_target, ring);
        _devices.Take(_target, 0, kv);
        if (keeps) KeepOnTarget(own, outputStays);
        _layers = [new(Item.Input, DeviceName.Host, DeviceName.Host, false, items[0].WeightBytes, 0), .. rest.Select(Settle)];
        _ring = RingSize.Of(_ringLayers, _layers, items);
        _devices.AddRing(_target, _ring - ring);
    }

    // Whole layers, in their order, for as long as the GPUs before the last have room.
    private int FillOtherGpus(List<Item> items)
    {
        int taken = 0;
        foreach (int gpu in _limits.Gpus.Keys.SkipLast(1))
        {
            while (taken < items.Count && items[taken].Name != Item.Output)
            {
                List<Item> layer = [.. items.Skip(taken).TakeWhile((item, i) => i == 0 || FeedForwardPart.LayerOf(item.Name) is not null)];
                if (!_devices.HasRoom(DeviceName.Gpu(gpu), layer.Sum(item => item.WeightBytes + item.KvBytes))) break;
                foreach (Item item in layer) Keep(item, DeviceName.Gpu(gpu), item.KvBytes);
                taken += layer.Count;
            }
        }
        return taken;
    }

    private void KeepOnTarget(List<Item> items, bool outputStays)
    {
        bool IsFeedForward(Item item) => FeedForwardPart.LayerOf(item.Name) is not null;
        // An embedding that is used twice is not streamed.
        foreach (Item item in items.Where(item => item.SharedBytes > 0 || (outputStays && item.Name == Item.Output)))
        {
            _devices.Take(_target, item.WeightBytes + item.SharedBytes, 0);
            _gpuOf[item.Name] = _target;
        }
        List<Item> parts = [.. items.Where(item => !_gpuOf.ContainsKey(item.Name))];
        KeepEvenly([.. parts.Where(item => !IsFeedForward(item))]);
        KeepEvenly([.. parts.Where(IsFeedForward)]);
    }

    // As many as have room from the first on, spread over all; sizes differ, so what room is left is offered again.
    private void KeepEvenly(List<Item> items)
    {
        long taken = 0;
        int count = items.TakeWhile(item => _devices.HasRoom(_target, taken += item.WeightBytes)).Count();
        foreach (Item item in Spread.Evenly(count, items.Count).Select(i => items[i]).Concat(items))
        {
            if (!_gpuOf.ContainsKey(item.Name) && _devices.HasRoom(_target, item.WeightBytes)) Keep(item, _target, 0);
        }
    }

    private void Keep(Item item, string gpu, long kvBytes)
    {
        _devices.Add(gpu, item.WeightBytes, kvBytes);
        _gpuOf[item.Name] = gpu;
    }

    private LayerPlacement Settle(Item item)
    {
        if (_gpuOf.TryGetValue(item.Name, out string? gpu)) return new(item.Name, gpu, gpu, false, item.WeightBytes + item.SharedBytes, item.KvBytes);
        if (item.WeightBytes == 0) return new(item.Name, _target, _target, false, 0, item.KvBytes);
        _left += item.WeightBytes;
        string device = _devices.TryHostForLayer(item.WeightBytes, 0) ?? DeviceName.Disk;
        bool cpuComputes = device == DeviceName.Host && FeedForwardPart.LayerOf(item.Name) is not null && _onCpu + item.WeightBytes / 2 <= _cpuShare * _left;
        if (cpuComputes) _onCpu += item.WeightBytes;
        _devices.Add(device, item.WeightBytes, 0);
        return new(item.Name, device, cpuComputes ? DeviceName.Host : _target, !cpuComputes, item.WeightBytes, item.KvBytes);
    }
}
