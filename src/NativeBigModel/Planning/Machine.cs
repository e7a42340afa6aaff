using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>What a plan may use: a value, measured once, that can as well be written by hand for a machine that is not here.</summary>
/// <param name="Gpus">The GPUs, in the driver's order.</param>
/// <param name="HostFreeBytes">Bytes of RAM that a process may still take, within its container's limit.</param>
public sealed record Machine(ImmutableArray<GpuDevice> Gpus, long HostFreeBytes)
{
    /// <summary>How fast it is; null where nobody measured.</summary>
    public MachineSpeeds? Speeds { get; init; }
}

/// <summary>One GPU.</summary>
/// <param name="Name">The engine's name for it, for example <c>CUDA0</c>.</param>
/// <param name="Description">The maker's name for it.</param>
/// <param name="FreeBytes">Bytes that the driver says are free.</param>
/// <param name="TotalBytes">Bytes that it has.</param>
public sealed record GpuDevice(string Name, string Description, long FreeBytes, long TotalBytes);
