using System.Text.RegularExpressions;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>
/// The memory types in which the CPU backend keeps some quantised matrices in another order of rows, or in tiles, which it multiplies by faster: a prompt
/// several times, a token by half. Some take more bytes (tiles of AMX 2.8 % more for Q4_K, 11.8 for Q8_0), which plans count beside the compute buffers; the results differ in
/// their last bits. Nothing but the CPU reads such memory, so they are for plans without a GPU, and for layers that do not stream.
/// </summary>
internal static unsafe class CpuLayouts
{
    // A whole matrix is put together before it is handed over; larger ones would be felt beside the plan's limits.
    private const long LargestMatrix = 1L << 30;

    // Matrices that graphs only ever multiply by. Embeddings are looked up as well, which those layouts cannot do.
    private static readonly Regex s_multiplied = new(@"^(blk\.\d+\.(attn_(q|k|v|qkv|output)|ffn_(gate|up|down)(_exps|_shexp)?)|output)\.weight$", RegexOptions.CultureInvariant);

    /// <summary>Tensors that belong in such a memory type.</summary>
    /// <param name="BufferType">A ggml_backend_buffer_type_t.</param>
    /// <param name="Tensors">Their names.</param>
    /// <param name="MoreBytes">What they take there beyond the bytes that they have.</param>
    public sealed record Layout(nint BufferType, IReadOnlySet<string> Tensors, long MoreBytes);

    /// <summary>The memory types for a plan's tensors; none where what they take more is more than half of what its limit leaves beside weights and caches.</summary>
    /// <param name="plan">A plan without a GPU.</param>
    /// <param name="tensors">The model's.</param>
    public static IReadOnlyList<Layout> Choose(Plan plan, IReadOnlyList<TensorSpec> tensors)
    {
        DevicePlan? memory = plan.Devices.FirstOrDefault(device => device.Name == DeviceName.Host);
        long left = memory?.LimitBytes is { } limit ? limit - (memory.TotalBytes - memory.ComputeBytes) : long.MaxValue;
        nint host = EngineDevices.Host();
        HashSet<string> resting = [.. plan.Layers.Where(layer => layer is { Device: DeviceName.Host, Streamed: false }).Select(layer => layer.Name)];
        List<TensorSpec> candidates = [.. tensors.Where(tensor => tensor.Bytes <= LargestMatrix && s_multiplied.IsMatch(tensor.Name) && resting.Contains(tensor.Layer < 0 ? Item.Output : $"blk.{tensor.Layer}"))];
        var chosen = new List<Layout>();
        foreach (nint type in BufferTypes(host))
        {
            var verdicts = new Dictionary<(TensorType, long, long, long), long?>();
            long? Room(TensorSpec tensor)
            {
                (TensorType, long, long, long) shape = (tensor.Type, tensor.Columns, tensor.Dimensions[1], tensor.Dimensions.Length > 2 ? tensor.Dimensions[2] : 1);
                if (!verdicts.TryGetValue(shape, out long? bytes)) verdicts[shape] = bytes = RoomFor(host, type, tensor);
                return bytes;
            }
            List<TensorSpec> taken = [.. candidates.Where(tensor => Room(tensor) is not null)];
            HashSet<string> names = [.. taken.Select(tensor => tensor.Name)];
            candidates.RemoveAll(tensor => names.Contains(tensor.Name));
            if (names.Count > 0) chosen.Add(new(type, names, taken.Sum(tensor => Math.Max(0, Room(tensor)!.Value - tensor.Bytes))));
        }
        return chosen.Sum(layout => layout.MoreBytes) <= left / 2 ? chosen : [];
    }

    /// <summary>The memory type that a large matrix of this type would lie in; 0 for ordinary memory.</summary>
    public static nint Of(TensorType type) => Of(new TensorSpec("blk.0.ffn_up.weight", [4096, 4096], type));

    /// <summary>The same of a mixture's experts, by which fewer layouts can multiply.</summary>
    public static nint OfExperts(TensorType type) => Of(new TensorSpec("blk.0.ffn_up_exps.weight", [4096, 4096, 8], type));

    private static nint Of(TensorSpec tensor)
    {
        nint host = EngineDevices.Host();
        return BufferTypes(host).FirstOrDefault(layout => RoomFor(host, layout, tensor) is not null);
    }

    private static List<nint> BufferTypes(nint host)
    {
        var types = new List<nint>();
        GgmlBackendReg* registry = GgmlGraphApi.GgmlBackendDevBackendReg((GgmlBackendDevice*)host);
        var get = (delegate* unmanaged[Cdecl]<nint, nint*>)GgmlGraphApi.GgmlBackendRegGetProcAddress(registry, "ggml_backend_dev_get_extra_bufts");
        for (nint* type = get is null ? null : get(host); type is not null && *type != 0; type++) types.Add(*type);
        return types;
    }

    // The bytes that a matrix of this shape takes in the memory type; null where the CPU does not multiply by it there. The backend is asked as llama.cpp asks it: with a product.
    private static long? RoomFor(nint host, nint type, TensorSpec tensor)
    {
        const int prompt = 512, used = 2;
        GgmlContext* context = GgmlGraphApi.GgmlInit(new GgmlInitParams { MemSize = 16 * 1024, NoAlloc = 1 });
        GgmlBackendBuffer* buffer = GgmlGraphApi.GgmlBackendBuftAllocBuffer((GgmlBackendBufferType*)type, 0);
        try
        {
            if (context is null || buffer is null) return null;
            bool stack = tensor.Dimensions.Length > 2;
            long columns = tensor.Columns, rows = tensor.Dimensions[1], experts = stack ? tensor.Dimensions[2] : 1;
            GgmlTensor* matrix = GgmlGraphApi.GgmlNewTensor3d(context, tensor.Type, columns, rows, experts);
            matrix->Buffer = buffer;
            GgmlTensor* product = stack
                ? GgmlGraphApi.GgmlMulMatId(context, matrix, GgmlGraphApi.GgmlNewTensor3d(context, TensorType.F32, columns, used, prompt), GgmlGraphApi.GgmlNewTensor3d(context, TensorType.I32, used, prompt, 1))
                : GgmlGraphApi.GgmlMulMat(context, matrix, GgmlGraphApi.GgmlNewTensor3d(context, TensorType.F32, columns, prompt, 1));
            return GgmlBackendApi.GgmlBackendDevSupportsOp((GgmlBackendDevice*)host, product) ? (long)GgmlGraphApi.GgmlBackendBufferGetAllocSize(buffer, matrix) : null;
        }
        finally
        {
            if (buffer is not null) GgmlGraphApi.GgmlBackendBufferFree(buffer);
            if (context is not null) GgmlGraphApi.GgmlFree(context);
        }
    }
}
