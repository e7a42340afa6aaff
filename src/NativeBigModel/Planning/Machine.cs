using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>What a plan may use: a value, measured once, that can as well be written by hand for a machine that is not here.</summary>
/// <param name="Gpus">The GPUs, in the driver's order.</param>
/// <param name="HostFreeBytes">Bytes of RAM that a process may still take, within its container's limit.</param>
public sealed record Machine(ImmutableArray<GpuDevice> Gpus, long HostFreeBytes)
{
    /// <summary>How fast it is; null where nobody measured.</summary>
    public MachineSpeeds? Speeds { get; init; }

    /// <summary>Cores of the CPU that a process may compute on, each counted once however many threads it runs; null where nobody looked.</summary>
    public int? Cores { get; init; }

    /// <summary>What is free beside a plan that will be carried out: for the model next to its draft model, for example.</summary>
    /// <param name="plan">The other plan.</param>
    public Machine Beside(Plan plan)
    {
        MemoryLimits left = MemoryLimits.Free(this).Beside(plan);
        return this with { Gpus = [.. Gpus.Select((gpu, i) => gpu with { FreeBytes = left.Gpus[i] })], HostFreeBytes = left.Host!.Value };
    }
}

/// <summary>One GPU.</summary>
/// <param name="Name">The engine's name for it, for example <c>CUDA0</c>.</param>
/// <param name="Description">The maker's name for it.</param>
/// <param name="FreeBytes">Bytes that the driver says are free.</param>
/// <param name="TotalBytes">Bytes that it has.</param>
public sealed record GpuDevice(string Name, string Description, long FreeBytes, long TotalBytes)
{
    /// <summary>Whether its kernels can read host memory that is pinned for it, over the link.</summary>
    public bool ReadsHostMemory { get; init; }
}
