using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>The bytes that a plan in the making has put on each device, against their limits.</summary>
internal sealed class DeviceLedger(MemoryLimits limits, ComputeBuffers compute)
{
    private sealed class Account
    {
        public long Weights;
        public long Kv;
        public long Ring;
        public long Staging;
        public long Compute;
        public long Total => Weights + Kv + Ring + Staging + Compute;
    }

    private readonly Dictionary<string, Account> _accounts = [];

    // Layers go forward only: once one did not fit, the devices before it are closed.
    private int _gpu;
    private bool _hostClosed;

    public bool HasRing { get; private set; }

    /// <summary>
    /// The first GPU, from the current one on, with this much room besides what <paramref name="reserved"/> keeps free on it; null where none has. A GPU without
    /// the room is passed by for good, except the one that layers are streamed to.
    /// </summary>
    public string? TryGpus(long bytes, Func<string, long> reserved, string target)
    {
        int[] gpus = [.. limits.Gpus.Keys];
        for (; _gpu < gpus.Length; _gpu++)
        {
            string name = DeviceName.Gpu(gpus[_gpu]);
            if (Find(name).Total + bytes + reserved(name) <= limits.Gpus[gpus[_gpu]]) return name;
            if (HasRing && name == target) return null;
        }
        return null;
    }

    /// <summary>Passes by the GPUs before this one.</summary>
    public void PassTo(string gpu)
    {
        int[] gpus = [.. limits.Gpus.Keys];
        while (_gpu < gpus.Length && DeviceName.Gpu(gpus[_gpu]) != gpu) _gpu++;
    }

    /// <summary>Whether a GPU has room for this much more.</summary>
    public bool HasRoom(string device, long bytes) => bytes <= RoomOf(device);

    /// <summary>Bytes that a GPU, or host memory, may still take.</summary>
    public long RoomOf(string device) => LimitOf(device) - Find(device).Total;

    /// <summary>Bytes of a device's ring.</summary>
    public long RingOf(string device) => Find(device).Ring;

    /// <summary>Host memory, if it has this much room besides <paramref name="reserved"/> bytes that must stay free for later.</summary>
    public string? TryHost(long bytes, long reserved) =>
        limits.Host is { } limit && Find(DeviceName.Host).Total + bytes + reserved <= limit ? DeviceName.Host : null;

    /// <summary>Host memory for a layer, likewise; where it has not the room, no later layer goes there either.</summary>
    public string? TryHostForLayer(long bytes, long reserved)
    {
        string? host = _hostClosed ? null : TryHost(bytes, reserved);
        _hostClosed = host is null;
        return host;
    }

    /// <summary>Puts the token embedding into host memory, which it needs whether or not that was named.</summary>
    /// <exception cref="DoesNotFitException">Host memory was named, and has not the room besides <paramref name="reserved"/> bytes for later.</exception>
    public void TakeForInput(long bytes, long reserved)
    {
        if (limits.Host is not null && TryHost(bytes, reserved) is null)
            throw Refuse(DeviceName.Host, bytes + reserved, "the token embedding and the KV cache of what the CPU computes must be there: allow more, a smaller weight type or a shorter context");
        Add(DeviceName.Host, bytes, 0);
    }

    /// <summary>Puts bytes on a device that must have room for them.</summary>
    /// <exception cref="DoesNotFitException">It has not.</exception>
    public void Take(string device, long weights, long kv)
    {
        if (weights + kv > 0 && Find(device).Total + weights + kv > LimitOf(device))
            throw Refuse(device, weights + kv, "a shorter context, a smaller KV type or a shorter ring needs less, or allow more");
        Add(device, weights, kv);
    }

    public DoesNotFitException Refuse(string device, long bytes, string advice) => new(device, Find(device).Total + bytes, LimitOf(device), advice);

    public void Add(string device, long weights, long kv)
    {
        Account account = Find(device);
        account.Weights += weights;
        account.Kv += kv;
    }

    /// <exception cref="DoesNotFitException">The ring alone is more than the device may hold.</exception>
    public void AddRing(string device, long bytes)
    {
        if (Find(device).Compute + bytes > LimitOf(device)) throw Refuse(device, bytes, "the ring that layers are streamed through needs that much: allow more, or a shorter ring");
        Find(device).Ring += bytes;
        HasRing = true;
    }

    /// <summary>Keeps host memory free for a disk's bytes to pass through.</summary>
    /// <exception cref="DoesNotFitException">Host memory was named, and has not the room.</exception>
    public void ReserveStaging(long bytes)
    {
        if (bytes > 0 && limits.Host is not null && TryHost(bytes, 0) is null) throw Refuse(DeviceName.Host, bytes, "what is read from disk passes through that much: allow more");
        Find(DeviceName.Host).Staging = bytes;
    }

    /// <summary>What a disk's bytes pass through now that it is known what is on it.</summary>
    public void SettleStaging(long bytes) => Find(DeviceName.Host).Staging = bytes;

    public ImmutableArray<DevicePlan> ToPlan()
    {
        var plans = ImmutableArray.CreateBuilder<DevicePlan>();
        foreach ((int gpu, long limit) in limits.Gpus) plans.Add(Device(DeviceName.Gpu(gpu), limit));
        if (limits.Host is not null || Find(DeviceName.Host).Total > 0) plans.Add(Device(DeviceName.Host, limits.Host));
        if (Find(DeviceName.Disk).Total > 0) plans.Add(Device(DeviceName.Disk, null));
        return plans.ToImmutable();
    }

    private long LimitOf(string device) => (DeviceName.GpuIndex(device) is { } gpu ? limits.Gpus[gpu] : limits.Host) ?? 0;

    // A GPU that nothing is put on computes nothing.
    private DevicePlan Device(string name, long? limit)
    {
        Account account = Find(name);
        bool idle = name != DeviceName.Host && account.Total == account.Compute;
        return new(name, account.Weights, account.Kv, account.Ring, account.Staging, idle ? 0 : account.Compute, limit);
    }

    private Account Find(string name)
    {
        if (!_accounts.TryGetValue(name, out Account? account)) _accounts[name] = account = new Account { Compute = compute.On(name, !limits.Gpus.IsEmpty) };
        return account;
    }
}
