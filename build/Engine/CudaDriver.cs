using System.Runtime.InteropServices;

namespace NativeBigModel.Build;

/// <summary>Asks NVIDIA's driver itself whether it works here; the toolkit's presence says nothing about that.</summary>
internal static unsafe class CudaDriver
{
    public static bool IsPresent()
    {
        string name = OperatingSystem.IsWindows() ? "nvcuda.dll" : "libcuda.so.1";
        if (!NativeLibrary.TryLoad(name, out nint driver)) return false;
        return NativeLibrary.TryGetExport(driver, "cuInit", out nint init) && ((delegate* unmanaged<uint, int>)init)(0) == 0;
    }
}
