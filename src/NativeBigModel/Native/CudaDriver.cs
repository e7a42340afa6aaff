using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>Asks NVIDIA's driver itself, not the toolkit, whether it works here and sees a device.</summary>
internal static unsafe class CudaDriver
{
    // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, and MINOR after it.
    private const int CapabilityMajor = 75;

    /// <summary>The compute capability of the driver's device with this number, such as <c>9.0</c>; null where the driver does not say.</summary>
    public static string? ComputeCapability(int index)
    {
        if (!HasDevice() || !NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint driver)) return null;
        if (!NativeLibrary.TryGetExport(driver, "cuDeviceGet", out nint get) || !NativeLibrary.TryGetExport(driver, "cuDeviceGetAttribute", out nint attribute)) return null;
        int device, major, minor;
        var ask = (delegate* unmanaged<int*, int, int, int>)attribute;
        return ((delegate* unmanaged<int*, int, int>)get)(&device, index) == 0 && ask(&major, CapabilityMajor, device) == 0 && ask(&minor, CapabilityMajor + 1, device) == 0 ? $"{major}.{minor}" : null;
    }

    public static bool HasDevice()
    {
        if (!NativeLibrary.TryLoad(OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1", out nint driver)) return false;
        int devices = 0;
        return NativeLibrary.TryGetExport(driver, "cuInit", out nint init)
            && NativeLibrary.TryGetExport(driver, "cuDeviceGetCount", out nint count)
            && ((delegate* unmanaged<uint, int>)init)(0) == 0
            && ((delegate* unmanaged<int*, int>)count)(&devices) == 0
            && devices > 0;
    }
}
