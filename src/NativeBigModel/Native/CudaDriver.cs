using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>Asks NVIDIA's driver itself, not the toolkit, whether it works here and sees a device.</summary>
internal static unsafe class CudaDriver
{
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
