namespace NativeBigModel.Planning.DeviceMaps;

/// <summary>accelerate's ways to lower the limits before it fills the devices.</summary>
internal enum DeviceMapStrategy
{
    Balanced,
    BalancedLowZero,
    Sequential,
}
