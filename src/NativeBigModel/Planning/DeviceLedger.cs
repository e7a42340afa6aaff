using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>The bytes that a plan in the making has put on each device, against their limits.</summary>
internal sealed class DeviceLedger(MemoryLimits limits)
{
    private sealed class Account
    {
        public long Weights;
        public long Kv;
        public long Total => Weights + Kv;
    }

    private readonly Dictionary<string, Account> _accounts = [];

    // Layers go forward only: once one did not fit, the devices before it are closed.
    private int _gpu;
    private bool _hostClosed;

    public bool HasGpus => !limits.Gpus.IsEmpty;

    /// <summary>The first GPU, from the current one on, with this much room; null where none has.</summary>
    public string? TryGpus(long bytes)
    {
        int[] gpus = [.. limits.Gpus.Keys];
        for (; _gpu < gpus.Length; _gpu++)
        {
            string name = DeviceName.Gpu(gpus[_gpu]);
            if (Find(name).Total + bytes <= limits.Gpus[gpus[_gpu]]) return name;
        }
        return null;
    }

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

    /// <summary>The memory that holds the keys and values of a layer whose weights stay on disk.</summary>
    /// <exception cref="DoesNotFitException">No memory has room for them.</exception>
    public string TakeMemory(long bytes)
    {
        string name = limits.Host is not null ? DeviceName.Host : limits.Gpus.IsEmpty ? DeviceName.Host : DeviceName.Gpu(limits.Gpus.Keys.First());
        long limit = limits.Host ?? (limits.Gpus.IsEmpty ? 0 : limits.Gpus.Values.First());
        long needed = Find(name).Total + bytes;
        return bytes == 0 || needed <= limit ? name
            : throw new DoesNotFitException(name, needed, limit, "a shorter context or a smaller KV type needs less, or allow more");
    }

    public void Add(string device, long weights, long kv)
    {
        Account account = Find(device);
        account.Weights += weights;
        account.Kv += kv;
    }

    public ImmutableArray<DevicePlan> ToPlan()
    {
        var plans = ImmutableArray.CreateBuilder<DevicePlan>();
        foreach ((int gpu, long limit) in limits.Gpus) plans.Add(Device(DeviceName.Gpu(gpu), limit));
        if (limits.Host is { } host) plans.Add(Device(DeviceName.Host, host));
        if (Find(DeviceName.Disk).Total > 0) plans.Add(Device(DeviceName.Disk, null));
        return plans.ToImmutable();
    }

    private DevicePlan Device(string name, long? limit) => new(name, Find(name).Weights, Find(name).Kv, limit);

    private Account Find(string name)
    {
        if (!_accounts.TryGetValue(name, out Account? account)) _accounts[name] = account = new Account();
        return account;
    }
}
