using System.Runtime.InteropServices;

namespace NativeBigModel.Native;

/// <summary>nbm_status.</summary>
internal enum NbmStatus { Ok = 0, Invalid = 1, NoMemory = 2, IO = 3 }

/// <summary>nbm_options.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NbmOptions
{
    public ulong RingBytes;
    public uint AllowUnpinned;
    public uint Computes;
    public uint SharedBatch;
    public uint LinkedExperts;
    public GgmlBackendDevice* PinsFor;
    public GgmlBackendDevice* Cpu;
}

/// <summary>nbm_stats.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct NbmStats
{
    public ulong Groups;
    public ulong RingBytes;
    public ulong RamBytes;
    public ulong FileBytes;
    public ulong StagingBytes;
    public ulong Pinned;
    public ulong Loads;
    public ulong BytesFromRam;
    public ulong BytesFromFile;
    public ulong LoadNs;
    public ulong WaitNs;
    public ulong Timed;
    public ulong Carried;
    public ulong LinkBytes;
}

/// <summary>nbm_memory.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NbmMemory
{
    public GgmlBackendBufferType* Type;
    public ulong Weights;
    public ulong Cache;
    public ulong Compute;
}

/// <summary>nbm_group_stats.</summary>
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct NbmGroupStats
{
    public const int NameBytes = 64;

    public fixed byte Name[NameBytes];
    public ulong Shared;
    public ulong RamBytes;
    public ulong FileBytes;
    public ulong Loads;
    public ulong LoadNs;
    public ulong TimedBytes;
    public ulong Peak;
    public ulong WaitNs;
}

/// <summary>native/nbm.h: the streaming plug-in.</summary>
internal static unsafe partial class NbmApi
{
    /// <summary>NBM_ABI_VERSION.</summary>
    public const uint AbiVersion = 2;

    private const string Nbm = StreamingLibrary.Nbm;

    [LibraryImport(Nbm, EntryPoint = "nbm_device_create")]
    internal static partial NbmStatus NbmDeviceCreate(GgmlBackendDevice* inner, in NbmOptions options, out NbmDeviceHandle device, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_handle")]
    internal static partial GgmlBackendDevice* NbmDeviceHandleOf(NbmDeviceHandle device);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_stream_buft")]
    internal static partial GgmlBackendBufferType* NbmDeviceStreamBuft(NbmDeviceHandle device);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_shared_buft")]
    internal static partial GgmlBackendBufferType* NbmDeviceSharedBuft(NbmDeviceHandle device);

    [LibraryImport(Nbm, EntryPoint = "nbm_reads_host_memory")]
    internal static partial uint NbmReadsHostMemory(GgmlBackendDevice* device);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_set_threads")]
    internal static partial void NbmDeviceSetThreads(NbmDeviceHandle device, nint threads);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_bind_file", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NbmStatus NbmDeviceBindFile(NbmDeviceHandle device, GgmlTensor* tensor, string path, ulong offset, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_commit")]
    internal static partial NbmStatus NbmDeviceCommit(NbmDeviceHandle device, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_expect")]
    internal static partial void NbmDeviceExpect(NbmDeviceHandle device, uint tokens);

    /// <summary>Null for a tensor that is bound to a file or does not stream.</summary>
    [LibraryImport(Nbm, EntryPoint = "nbm_device_tensor_bytes")]
    internal static partial void* NbmDeviceTensorBytes(NbmDeviceHandle device, GgmlTensor* tensor);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_filled")]
    internal static partial NbmStatus NbmDeviceFilled(NbmDeviceHandle device, GgmlTensor* tensor, ulong bytes, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_start")]
    internal static partial NbmStatus NbmDeviceStart(NbmDeviceHandle device, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_last_error")]
    internal static partial void NbmDeviceLastError(NbmDeviceHandle device, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_get_stats")]
    internal static partial void NbmDeviceGetStats(NbmDeviceHandle device, out NbmStats stats);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_get_group_stats")]
    internal static partial NbmStatus NbmDeviceGetGroupStats(NbmDeviceHandle device, ulong group, out NbmGroupStats stats, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_device_destroy")]
    internal static partial void NbmDeviceDestroy(nint device);

    [LibraryImport(Nbm, EntryPoint = "nbm_memory_breakdown")]
    internal static partial NbmStatus NbmMemoryBreakdown(void* breakdown, nint context, NbmMemory* entries, nuint capacity, out nuint count, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_mapping_create", StringMarshalling = StringMarshalling.Utf8)]
    internal static partial NbmStatus NbmMappingCreate(string path, out NbmMappingHandle mapping, out byte* memory, out ulong size, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_mapping_fill")]
    internal static partial NbmStatus NbmMappingFill(NbmMappingHandle mapping, ulong offset, ulong size, byte* error, nuint errorSize);

    [LibraryImport(Nbm, EntryPoint = "nbm_mapping_is_damaged")]
    internal static partial uint NbmMappingIsDamaged(NbmMappingHandle mapping);

    [LibraryImport(Nbm, EntryPoint = "nbm_mapping_destroy")]
    internal static partial void NbmMappingDestroy(nint mapping);
}
