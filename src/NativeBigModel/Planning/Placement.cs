using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>A layer to place, or the input or output of the model.</summary>
/// <param name="Name">As in <see cref="LayerPlacement"/>.</param>
/// <param name="WeightBytes">Bytes of its tensors.</param>
/// <param name="KvBytes">Bytes of its keys and values.</param>
/// <param name="RingBytes">Bytes of the ring that it takes while it passes through.</param>
/// <param name="DirectRingBytes">The same of a ring that files are read straight into.</param>
/// <param name="MatrixRingBytes">Bytes of the ring that the largest of its matrices takes, with its bias: a feed-forward part that the CPU computes travels matrix by matrix.</param>
/// <param name="DirectMatrixRingBytes">The same of a ring that files are read straight into.</param>
/// <param name="LargestTensorBytes">Bytes of the largest of its tensors.</param>
/// <param name="SharedBytes">Bytes that it shares with the input while both are in host memory, and needs for itself on a GPU.</param>
internal sealed record Item(string Name, long WeightBytes, long KvBytes, long RingBytes, long DirectRingBytes, long MatrixRingBytes, long DirectMatrixRingBytes, long LargestTensorBytes, long SharedBytes)
{
    public const string Input = "input";
    public const string Output = "output";

    /// <summary>Whether it is a layer's feed-forward part alone.</summary>
    public bool IsFeedForward => FeedForwardPart.Is(Name);
}

/// <summary>One attempt to place a model's items within the limits.</summary>
internal sealed class Placement
{
    private readonly OffloadMode _mode;
    private readonly bool _streamAll;
    private readonly DeviceLedger _devices;
    private readonly string _target; // computes what is streamed
    private long _kvToCome; // of the items after the present one
    private long _heldToCome; // what they put on the target for certain, if they are streamed
    private bool _outputStays;

    private Placement(MemoryLimits limits, ComputeBuffers compute, OffloadMode mode, bool streamAll)
    {
        (_mode, _streamAll, _devices) = (mode, streamAll, new DeviceLedger(limits, compute));
        bool host = limits.Gpus.IsEmpty || (mode == OffloadMode.Cpu && limits.Host is not null);
        _target = host ? DeviceName.Host : DeviceName.Gpu(limits.Gpus.Keys.Last());
    }

    public List<LayerPlacement> Layers { get; } = [];

    public ImmutableArray<DevicePlan> Devices => _devices.ToPlan();

    /// <summary>Everything where it is computed, or null if something would have to be streamed.</summary>
    /// <exception cref="DoesNotFitException">The token embedding has no room.</exception>
    public static Placement? Resident(MemoryLimits limits, ComputeBuffers compute, OffloadMode mode, bool streamAll, IReadOnlyList<Item> items)
    {
        if (streamAll) return null;
        var placement = new Placement(limits, compute, mode, streamAll);
        return placement.Run(items, placement.PlaceResident) ? placement : null;
    }

    /// <summary>As few of the first layers as can be on the host, and all others with the output on GPUs; null if that has no room.</summary>
    /// <exception cref="DoesNotFitException">The token embedding has no room.</exception>
    public static Placement? HostFirst(MemoryLimits limits, ComputeBuffers compute, IReadOnlyList<Item> items)
    {
        Placement? With(int onHost)
        {
            var placement = new Placement(limits, compute, OffloadMode.Cpu, streamAll: false);
            HashSet<string> first = [.. items.Skip(1).Take(onHost).Select(item => item.Name)];
            return placement.Run(items, item => first.Contains(item.Name) ? placement.PlaceOnHost(item) : placement.PlaceOnGpus(item, 0)) ? placement : null;
        }
        return Enumerable.Range(0, items.Count - 1).Select(With).FirstOrDefault(placement => placement is not null);
    }

    /// <summary>What can be where it is computed there, and the rest through a ring as long as <paramref name="ringLayers"/> of the largest layer.</summary>
    /// <exception cref="DoesNotFitException">Something that must be in memory has no room.</exception>
    public static Placement Streaming(MemoryLimits limits, ComputeBuffers compute, OffloadMode mode, bool streamAll, double ringLayers, IReadOnlyList<Item> items)
    {
        // What a disk's bytes pass through takes room in host memory that layers could have, so it is there only if some layer must stay on disk.
        Placement inMemory = Streaming(limits, compute, mode, streamAll, ringLayers, items, readsDisk: false);
        return inMemory.Layers.Exists(layer => layer.Device == DeviceName.Disk) ? Streaming(limits, compute, mode, streamAll, ringLayers, items, readsDisk: true) : inMemory;
    }

    private static Placement Streaming(MemoryLimits limits, ComputeBuffers compute, OffloadMode mode, bool streamAll, double ringLayers, IReadOnlyList<Item> items, bool readsDisk)
    {
        Placement Try(HashSet<string> travelling)
        {
            var placement = new Placement(limits, compute, mode, streamAll);
            long ring = placement.AddRing(ringLayers, items);
            if (readsDisk) placement._devices.ReserveStaging(StagingSize.AtMost([placement._target], items.Skip(1).Where(item => !placement.StaysOnGpu(item))));
            placement.Run(items, item =>
            {
                if (!travelling.Contains(item.Name)) return placement.PlaceResident(item) ?? placement.PlaceStreamed(item);
                placement._devices.PassTo(placement._target);
                return placement.PlaceStreamed(item);
            });
            // The largest layer may have stayed.
            placement._devices.AddRing(placement._target, RingSize.Of(placement._target, ringLayers, placement.Layers, items) - ring);
            placement._devices.SettleStaging(StagingSize.Of(placement.Layers, items));
            return placement;
        }
        Placement first = Try([]);
        // As many as have room, spread over the target's layers. Layers of other devices stay in a row, as llama.cpp has them.
        string[] own = [.. first.Layers.Where(layer => layer.ComputeDevice == first._target && layer.Name is not (Item.Input or Item.Output)).Select(layer => layer.Name)];
        int staying = first.Layers.Count(layer => !layer.Streamed && own.Contains(layer.Name));
        if (staying == 0 || staying == own.Length) return first;
        Placement spread = Try([.. own.Except(Spread.Evenly(staying, own.Length).Select(i => own[i]))]);
        // Layers of different sizes may have found less room in another order.
        return spread.StreamedBytes <= first.StreamedBytes ? spread : first;
    }

    // An output that is larger than a layer makes the ring so much longer that it may as well stay.
    private long AddRing(double ringLayers, IReadOnlyList<Item> items)
    {
        long ring = RingSize.AtMost(_target, ringLayers, items.SkipLast(1).Where(item => item.Name != Item.Input));
        _outputStays = !_streamAll && _target != DeviceName.Host && _devices.HasRoom(_target, ring + items.Sum(item => item.KvBytes) + items[^1].WeightBytes + items[^1].SharedBytes);
        if (!_outputStays) ring = RingSize.AtMost(_target, ringLayers, items.Where(item => item.Name != Item.Input));
        _devices.AddRing(_target, ring);
        return ring;
    }

    private long StreamedBytes => Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);

    // In their order: a layer is never computed on a faster device than one before it.
    private bool Run(IReadOnlyList<Item> items, Func<Item, LayerPlacement?> place)
    {
        _kvToCome = items.Sum(item => item.KvBytes);
        _heldToCome = items.Sum(HeldIfStreamed);
        foreach (Item item in items)
        {
            _kvToCome -= item.KvBytes;
            _heldToCome -= HeldIfStreamed(item);
            if ((item.Name == Item.Input ? PlaceInput(item) : place(item)) is not { } placed) return false;
            Layers.Add(placed);
        }
        return true;
    }

    // llama.cpp keeps the embedding in host memory, where one row is read per token.
    private LayerPlacement PlaceInput(Item item)
    {
        _devices.TakeForInput(item.WeightBytes, _target == DeviceName.Host ? _kvToCome : 0);
        return new(item.Name, DeviceName.Host, DeviceName.Host, false, item.WeightBytes, 0);
    }

    private LayerPlacement? PlaceResident(Item item)
    {
        if (_streamAll) return null;
        // The target must not be filled up with weights that later items leave no room beside.
        bool cpuComputes = _mode != OffloadMode.Disk && (_mode == OffloadMode.Cpu || _target == DeviceName.Host);
        return PlaceOnGpus(item, _devices.HasRing ? _heldToCome : 0) ?? (cpuComputes ? PlaceOnHost(item) : null);
    }

    private LayerPlacement? PlaceOnGpus(Item item, long reserved) =>
        _devices.TryGpus(item.WeightBytes + item.KvBytes + item.SharedBytes, gpu => gpu == _target ? reserved : 0, _target) is { } gpu ? Put(item, gpu, item.WeightBytes + item.SharedBytes) : null;

    private LayerPlacement? PlaceOnHost(Item item) =>
        _devices.TryHostForLayer(item.WeightBytes + item.KvBytes, _target == DeviceName.Host ? _kvToCome : 0) is { } host ? Put(item, host, item.WeightBytes) : null;

    private LayerPlacement Put(Item item, string device, long weights)
    {
        _devices.Add(device, weights, item.KvBytes);
        return new(item.Name, device, device, false, weights, item.KvBytes);
    }

    private LayerPlacement PlaceStreamed(Item item)
    {
        _devices.Take(_target, HeldIfStreamed(item) - item.KvBytes, item.KvBytes);
        if (StaysOnGpu(item)) return new(item.Name, _target, _target, false, item.WeightBytes + item.SharedBytes, item.KvBytes);
        // What rests in the memory that it is computed in is streamed only where everything is.
        bool fromHost = _mode == OffloadMode.Stream && (_streamAll || _target != DeviceName.Host);
        string rest = (fromHost ? _devices.TryHostForLayer(item.WeightBytes, _target == DeviceName.Host ? _kvToCome : 0) : null) ?? DeviceName.Disk;
        _devices.Add(rest, item.WeightBytes, 0);
        return new(item.Name, rest, _target, true, item.WeightBytes, item.KvBytes);
    }

    // Keys and values stay where they are computed, and an embedding that is used twice is not streamed.
    private long HeldIfStreamed(Item item) => item.KvBytes + (StaysOnGpu(item) ? item.WeightBytes + item.SharedBytes : 0);

    private bool StaysOnGpu(Item item) => _target != DeviceName.Host && (item.SharedBytes > 0 || (_outputStays && item.Name == Item.Output));
}
