using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>Bytes that the engine holds on one device.</summary>
/// <param name="Device">The <see cref="DeviceName"/>.</param>
/// <param name="WeightBytes">Of weights that are not streamed.</param>
/// <param name="StreamedBytes">Of weights that are streamed or shared, wherever they rest.</param>
/// <param name="KvBytes">Of keys and values.</param>
/// <param name="ComputeBytes">Of the buffers that are computed in, and what the CPU's own layouts of weights take more than the weights have.</param>
internal sealed record EngineBytes(string Device, long WeightBytes, long StreamedBytes, long KvBytes, long ComputeBytes)
{
    /// <summary>Of <see cref="ComputeBytes"/>, what layouts take.</summary>
    public long LayoutBytes { get; init; }

    // llama_get_memory_breakdown(llama_context const *), by the C++ names of gcc and clang; Microsoft's compiler has others.
    private const string Breakdown = "_Z26llama_get_memory_breakdownPK13llama_context";
    private const int MaxTypes = 64;
    private const int ErrorBytes = 256;

    /// <summary>What a context and its model hold, or would hold if they were allocated; null where the engine cannot be asked.</summary>
    public static unsafe IReadOnlyList<EngineBytes>? Of(EngineContext context, EnginePlacement placement)
    {
        nint function = EngineLibrary.Find(EngineLibrary.Llama, Breakdown);
        if (function == 0) return null;
        NbmMemory* entries = stackalloc NbmMemory[MaxTypes];
        byte* error = stackalloc byte[ErrorBytes];
        nuint count;
        try
        {
            StreamingLibrary.Load();
            bool held = false;
            context.Handle.DangerousAddRef(ref held);
            try
            {
                NbmStatus status = NbmApi.NbmMemoryBreakdown((void*)function, context.Handle.DangerousGetHandle(), entries, MaxTypes, out count, error, ErrorBytes);
                if (status != NbmStatus.Ok || count > MaxTypes) return null;
            }
            finally { context.Handle.DangerousRelease(); }
        }
        catch (Exception missing) when (missing is EngineException or EntryPointNotFoundException) { return null; }
        var memory = new List<EngineBytes>();
        foreach (NbmMemory entry in new ReadOnlySpan<NbmMemory>(entries, (int)count))
        {
            bool streamed = false;
            foreach (StreamingDevice device in placement.Owned) streamed |= entry.Type == device.BufferType || entry.Type == device.SharedBufferType;
            long weights = (long)entry.Weights, more = placement.Layouts.FirstOrDefault(layout => layout.BufferType == (nint)entry.Type)?.MoreBytes ?? 0;
            memory.Add(new(NameOf(entry.Type, placement), streamed ? 0 : weights - more, streamed ? weights : 0, (long)entry.Cache, (long)entry.Compute + more) { LayoutBytes = more });
        }
        return [.. memory.GroupBy(entry => entry.Device).Select(device => new EngineBytes(
            device.Key, device.Sum(entry => entry.WeightBytes), device.Sum(entry => entry.StreamedBytes), device.Sum(entry => entry.KvBytes), device.Sum(entry => entry.ComputeBytes)) { LayoutBytes = device.Sum(entry => entry.LayoutBytes) })];
    }

    /// <summary>The <see cref="DeviceName"/> where a buffer is; host memory for one whose contents stream or are shared, wherever they rest.</summary>
    public static unsafe string DeviceOf(GgmlBackendBuffer* buffer, EnginePlacement placement)
    {
        GgmlBackendBufferType* type = GgmlBackendApi.GgmlBackendBufferGetType(buffer);
        foreach (StreamingDevice device in placement.Owned)
        {
            if (type == device.BufferType || type == device.SharedBufferType) return DeviceName.Host;
        }
        return NameOf(type, placement);
    }

    // Pinned memory belongs to a GPU and is the host's.
    private static unsafe string NameOf(GgmlBackendBufferType* type, EnginePlacement placement)
    {
        if (GgmlBackendApi.GgmlBackendBuftIsHost(type)) return DeviceName.Host;
        var device = (nint)GgmlBackendApi.GgmlBackendBuftGetDevice(type);
        foreach ((string name, StreamingDevice stream) in placement.Streams)
        {
            if (device == stream.Device) return name;
        }
        for (int gpu = 0; gpu < placement.Gpus.Count; gpu++)
        {
            if (device == placement.Gpus[gpu]) return DeviceName.Gpu(gpu);
        }
        return DeviceName.Host;
    }
}
