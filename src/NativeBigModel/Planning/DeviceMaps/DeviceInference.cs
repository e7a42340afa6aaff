using System.Collections.Immutable;

namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>What an inference is asked for beyond the limits.</summary>
internal sealed record InferenceOptions
{
    /// <summary>Classes of modules that are not divided between devices.</summary>
    public IReadOnlySet<string> Whole { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>A type that floating tensors are loaded in, if it is smaller than theirs.</summary>
    public TorchType? Type { get; init; }

    /// <summary>Types of single tensors, by path.</summary>
    public IReadOnlyDictionary<string, TorchType>? SpecialTypes { get; init; }

    /// <summary>Whether entries of one device are joined.</summary>
    public bool Clean { get; init; } = true;

    /// <summary>Whether the buffers of modules that no GPU holds travel with their weights.</summary>
    public bool OffloadBuffers { get; init; }

    /// <summary>Whether a device that the next module does not fit may take a later one.</summary>
    public bool Fallback { get; init; }
}

/// <summary>An answer.</summary>
/// <param name="Devices">Where each module goes.</param>
/// <param name="HomelessBufferBytes">Bytes of buffers that belong to modules on no GPU, where no GPU has room for them; else 0.</param>
/// <param name="Shortages">The devices that stayed empty for want of memory, with the bytes that would have been needed.</param>
internal sealed record InferredDevices(ModuleDevices Devices, long HomelessBufferBytes, ImmutableArray<(string Device, long Bytes)> Shortages);

/// <summary>
/// accelerate's infer_auto_device_map: modules in their order fill the devices in theirs, and never go back. The first GPU and the CPU keep room for
/// the largest module that is still to come, because that may have to be brought there.
/// </summary>
internal sealed class DeviceInference
{
    private readonly ModuleTree _tree;
    private readonly MemoryLimits _limits;
    private readonly InferenceOptions _options;
    private readonly ModuleSizes _sizes;
    private readonly List<Pending> _queue;
    private readonly LargestLayer _largest;
    private readonly string[] _devices;
    private readonly Dictionary<string, string> _placed = [];
    private readonly Dictionary<string, long> _used = [], _buffers = [];
    private readonly List<(string, long)> _shortages = [];
    private int _current;

    private DeviceInference(ModuleTree tree, MemoryLimits limits, InferenceOptions options)
    {
        (_tree, _limits, _options) = (tree, limits, options);
        _sizes = new(tree, options.Type, options.SpecialTypes);
        _queue = Pending.Of(tree);
        _largest = new(_sizes, options.Whole, _queue);
        _devices = [.. limits.Gpus.Keys.Select(DeviceName.Gpu), .. limits.Host is null ? Array.Empty<string>() : [DeviceName.Host], DeviceName.Disk];
        foreach (string device in _devices) (_used[device], _buffers[device]) = (0, 0);
    }

    public static InferredDevices Infer(ModuleTree tree, MemoryLimits limits, InferenceOptions options)
    {
        var inference = new DeviceInference(tree, limits, options);
        while (inference._queue.Count > 0) inference.Step();
        var devices = ModuleDevices.Of(inference._placed);
        return new(options.Clean ? devices.Clean() : devices, inference.HomelessBuffers(), [.. inference._shortages]);
    }

    // Each step places a module, opens one, brings one forward, or gives the current device up.
    private void Step()
    {
        Pending item = _queue[0];
        _queue.RemoveAt(0);
        _largest.Leave(item, _queue);
        string device = _devices[_current];
        // What has its device already brings nothing along; accelerate fails there.
        List<string> shared = TiedModules.Outside(item, _tree);
        shared.RemoveAll(IsPlaced);
        TiedModules tied = TiedModules.Find(shared, _sizes[item.Path], _queue, _sizes)!;
        long reserve = device == DeviceName.Host || device == FirstGpu ? _largest.Bytes : 0, room = LimitOf(device) - reserve - _used[device], bytes = _sizes[item.Path];
        if (device == DeviceName.Disk || tied.Bytes <= room) Place(item, tied, device);
        else if (tied.Owners.Count > 0 && bytes <= room && tied.Owners.FirstOrDefault(owner => owner.Opens(_options.Whole)) is { } owner)
        {
            int at = _queue.IndexOf(owner);
            _queue.RemoveAt(at);
            _queue.InsertRange(at, owner.Open());
            _queue.Insert(0, item);
            _largest.MeasureModules(_queue);
        }
        else if (bytes >= room && item.Opens(_options.Whole))
        {
            _queue.InsertRange(0, item.Open());
            _largest.MeasureModules(_queue);
        }
        else if (_used[device] == 0 && _options.Fallback && Fallback(device, tied) is { } found) _queue.InsertRange(0, [found, item]);
        else
        {
            if (_used[device] == 0) _shortages.Add((device, tied.Bytes + reserve));
            _used[device] += reserve;
            _current++;
            _queue.Insert(0, item);
        }
    }

    private string? FirstGpu => _limits.Gpus.IsEmpty ? null : _devices[0];

    private long LimitOf(string device) => device == DeviceName.Disk ? 0 : DeviceName.GpuIndex(device) is { } gpu ? _limits.Gpus[gpu] : _limits.Host!.Value;

    private bool IsPlaced(string path) => _placed.Keys.Any(placed => ModuleTree.IsIn(path, placed));

    private void Place(Pending item, TiedModules tied, string device)
    {
        _used[device] += tied.Bytes;
        foreach (Pending placed in (Pending[])[item, .. tied.Owners]) _placed[placed.Path] = device;
        _queue.RemoveAll(tied.Owners.Contains);
        if (!_options.OffloadBuffers && item.Module is { } module) _buffers[device] += ModuleSizes.BufferBytes(module, _options.Type);
    }

    private Pending? Fallback(string device, TiedModules tied) =>
        FallbackSearch.Take(_queue, LimitOf(device) - Math.Max(_largest.Bytes, tied.Bytes), _tree, _sizes, _options.Whole);

    private long HomelessBuffers()
    {
        long homeless = _buffers.GetValueOrDefault(DeviceName.Host) + _buffers[DeviceName.Disk];
        return _limits.Gpus.IsEmpty || _limits.Gpus.Any(gpu => gpu.Value >= homeless + _used[DeviceName.Gpu(gpu.Key)]) ? 0 : homeless;
    }
}
