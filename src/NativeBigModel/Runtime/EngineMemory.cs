using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>The engine's tensors as a place for bytes: host memory is read and encoded into directly, a device is handed each piece (what needed no encoding, out of memory that is pinned for it), and a memory type of its own layout each whole tensor.</summary>
internal sealed unsafe class EngineMemory : ITensorSink
{
    private readonly Place[] _places;

    // Null where no device has any. What is pinned for one device is memory for all, and CUDA pins for all of its devices at once.
    private readonly GgmlBackendBufferType* _pinned;
    private readonly int _pinnedBytes;

    /// <param name="targets">The ggml_tensor of each, the store that its bytes go to if not to its own memory, whether it takes only all of them at once, and whether they are encoded.</param>
    public EngineMemory(IReadOnlyList<(nint Tensor, StreamingDevice? Store, bool Whole, bool Encoded)> targets)
    {
        _places = [.. targets.Select(target => new Place(target.Tensor, target.Store is { } store ? (nint)store.Bytes(target.Tensor) : target.Whole ? 0 : OwnMemory(target.Tensor), target.Store, target.Whole, target.Encoded))];
        // A wish for each tensor would leave out the page that two share, and no large page could lie across.
        foreach (nint buffer in targets.Where(target => target.Store is null && (target.Whole || OwnMemory(target.Tensor) != 0)).Select(target => (nint)((GgmlTensor*)target.Tensor)->Buffer).Distinct())
            HugePages.Wish(GgmlGraphApi.GgmlBackendBufferGetBase((GgmlBackendBuffer*)buffer), GgmlGraphApi.GgmlBackendBufferGetSize((GgmlBackendBuffer*)buffer));
        foreach (Place place in _places.Where(static place => place is { Memory: 0, Encoded: false }))
        {
            GgmlBackendBufferType* type = PinnedFor(place.Tensor);
            if (type is null) continue;
            if (_pinned is null) _pinned = type;
            _pinnedBytes = Math.Max(_pinnedBytes, (int)Math.Min(TensorPump.ReadBytes, GgmlApi.GgmlNBytes((GgmlTensor*)place.Tensor)));
        }
    }

    public bool TakesWhole(int tensor) => _places[tensor].Whole;

    public Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory)
    {
        Place place = _places[tensor];
        if (place.Memory != 0) return new Span<byte>((byte*)place.Memory + offset, bytes);
        // What is encoded comes slower out of pinned memory: on an H200 F16 became Q8_0 in 1.1 to 1.4 times the time.
        return _pinned is null || place.Encoded ? memory.Target(bytes) : memory.Pinned(_pinned, _pinnedBytes, bytes);
    }

    public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
    {
        Place place = _places[tensor];
        place.Store?.Filled(place.Tensor, piece.Length);
        if (place.Memory != 0) return;
        fixed (byte* from = piece) GgmlBackendApi.GgmlBackendTensorSet((GgmlTensor*)place.Tensor, from, (nuint)offset, (nuint)piece.Length);
    }

    private static nint OwnMemory(nint tensor) => GgmlBackendApi.GgmlBackendBufferIsHost(((GgmlTensor*)tensor)->Buffer) ? (nint)((GgmlTensor*)tensor)->Data : 0;

    // The CPU, which whole tensors belong to, has none.
    private static GgmlBackendBufferType* PinnedFor(nint tensor)
    {
        GgmlBackendDevice* device = GgmlBackendApi.GgmlBackendBuftGetDevice(GgmlBackendApi.GgmlBackendBufferGetType(((GgmlTensor*)tensor)->Buffer));
        return device is null ? null : GgmlBackendApi.GgmlBackendDevHostBufferType(device);
    }

    /// <param name="Tensor">The ggml_tensor.</param>
    /// <param name="Memory">Where its bytes belong; 0 where they are handed over.</param>
    /// <param name="Store">The streaming device whose memory that is.</param>
    /// <param name="Whole">Whether it takes only all of them at once.</param>
    /// <param name="Encoded">Whether they are computed, not only read.</param>
    private readonly record struct Place(nint Tensor, nint Memory, StreamingDevice? Store, bool Whole, bool Encoded);
}
