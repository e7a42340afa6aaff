using System.Collections.Immutable;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>The devices that the loaded engine offers, as ggml_backend_dev_t.</summary>
internal static unsafe class EngineDevices
{
    public static IReadOnlyList<nint> Gpus()
    {
        var gpus = new List<nint>();
        for (nuint i = 0; i < GgmlBackendApi.GgmlBackendDevCount(); i++)
        {
            GgmlBackendDevice* device = GgmlBackendApi.GgmlBackendDevGet(i);
            if (GgmlBackendApi.GgmlBackendDevType(device) == GgmlBackendDevType.Gpu) gpus.Add((nint)device);
        }
        return gpus;
    }

    /// <exception cref="EngineException">The engine has no CPU backend for this processor.</exception>
    public static nint Host()
    {
        GgmlBackendDevice* device = GgmlBackendApi.GgmlBackendDevByType(GgmlBackendDevType.Cpu);
        return device is not null ? (nint)device : throw new EngineException("no CPU backend of the engine runs on this processor");
    }

    /// <summary>Each device that the engine computes with, by the library it belongs to.</summary>
    public static ImmutableArray<string> Backends()
    {
        var backends = ImmutableArray.CreateBuilder<string>();
        for (nuint i = 0; i < GgmlBackendApi.GgmlBackendDevCount(); i++)
        {
            GgmlBackendDevice* device = GgmlBackendApi.GgmlBackendDevGet(i);
            backends.Add($"{Utf8.Text(GgmlGraphApi.GgmlBackendRegName(GgmlGraphApi.GgmlBackendDevBackendReg(device)))}: {Utf8.Text(GgmlBackendApi.GgmlBackendDevDescription(device))}");
        }
        return backends.ToImmutable();
    }

    public static GpuDevice Describe(nint address)
    {
        var device = (GgmlBackendDevice*)address;
        GgmlBackendApi.GgmlBackendDevMemory(device, out nuint free, out nuint total);
        return new(Utf8.Text(GgmlBackendApi.GgmlBackendDevName(device)), Utf8.Text(GgmlBackendApi.GgmlBackendDevDescription(device)), (long)free, (long)total) { ReadsHostMemory = StreamingDevice.ReadsHostMemory(address) };
    }
}
