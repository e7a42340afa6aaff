using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>Refuses a plan before any device is touched: one that is not for the model, or that this machine has not the memory for.</summary>
public static class LoadGate
{
    /// <exception cref="InvalidOptionException">The plan is not one for the model.</exception>
    /// <exception cref="DoesNotFitException">A device would hold more than its limit, or more than is free on it.</exception>
    internal static void Require(Plan plan, ModelShape model) => Require(plan, model, Machine.Probe());

    /// <inheritdoc cref="Require(Plan, ModelShape)"/>
    internal static void Require(Plan plan, ModelShape model, Machine machine)
    {
        plan.Verify(model);
        foreach ((DevicePlan device, long free) in Short(plan, machine))
        {
            string ways = FitAdvice.Ways(plan, model, machine, new(device.Name, device.TotalBytes, free, ""));
            throw new DoesNotFitException(device.Name, device.TotalBytes, free, $"the plan takes more than is free on {DeviceName.Label(device.Name)} now: {(ways.Length > 0 ? ways : "lower its limit, or close what uses it")}");
        }
    }

    /// <summary>What a plan needs and a machine has not, one sentence for each device; a plan may as well be for another machine.</summary>
    public static IEnumerable<string> Warnings(Plan plan, Machine machine)
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(machine);
        return Short(plan, machine).Select(shortage => $"not on this machine as it is: {DeviceName.Label(shortage.Device.Name)} would hold {shortage.Device.TotalBytes} bytes, and {shortage.Free} are free")
            .Concat(plan.Devices.Where(device => DeviceName.GpuIndex(device.Name) >= machine.Gpus.Length && device.TotalBytes > 0).Select(device => $"not on this machine as it is: it has no {DeviceName.Label(device.Name)}"));
    }

    private static IEnumerable<(DevicePlan Device, long Free)> Short(Plan plan, Machine machine) =>
        from device in plan.Devices
        let free = DeviceName.GpuIndex(device.Name) is { } gpu ? (gpu < machine.Gpus.Length ? machine.Gpus[gpu].FreeBytes : long.MaxValue) : device.Name == DeviceName.Host ? machine.HostFreeBytes : long.MaxValue
        where device.TotalBytes > free
        select (device, free);
}
