using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>The engine's tensors as a place for bytes: host memory is read and encoded into directly, a device is handed each piece, and a memory type of its own layout each whole tensor.</summary>
internal sealed unsafe class EngineMemory : ITensorSink
{
    private readonly Place[] _places;

    /// <param name="targets">The ggml_tensor of each, where its bytes go if not to its own memory, and whether it takes only all of them at once.</param>
    public EngineMemory(IReadOnlyList<(nint Tensor, nint Bytes, bool Whole)> targets)
    {
        _places = [.. targets.Select(target => new Place(target.Tensor, target.Bytes != 0 ? target.Bytes : target.Whole ? 0 : OwnMemory(target.Tensor), target.Whole))];
        // A wish for each tensor would leave out the page that two share, and no large page could lie across.
        foreach (nint buffer in targets.Where(target => target.Bytes == 0 && (target.Whole || OwnMemory(target.Tensor) != 0)).Select(target => (nint)((GgmlTensor*)target.Tensor)->Buffer).Distinct())
            HugePages.Wish(GgmlGraphApi.GgmlBackendBufferGetBase((GgmlBackendBuffer*)buffer), GgmlGraphApi.GgmlBackendBufferGetSize((GgmlBackendBuffer*)buffer));
    }

    public bool TakesWhole(int tensor) => _places[tensor].Whole;

    public Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory) =>
        _places[tensor].Memory is var own && own != 0 ? new Span<byte>((byte*)own + offset, bytes) : memory.Target(bytes);

    public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
    {
        if (_places[tensor].Memory != 0) return;
        fixed (byte* from = piece) GgmlBackendApi.GgmlBackendTensorSet((GgmlTensor*)_places[tensor].Tensor, from, (nuint)offset, (nuint)piece.Length);
    }

    private static nint OwnMemory(nint tensor) => GgmlBackendApi.GgmlBackendBufferIsHost(((GgmlTensor*)tensor)->Buffer) ? (nint)((GgmlTensor*)tensor)->Data : 0;

    /// <param name="Tensor">The ggml_tensor.</param>
    /// <param name="Memory">Where its bytes belong; 0 where they are handed over.</param>
    /// <param name="Whole">Whether it takes only all of them at once.</param>
    private readonly record struct Place(nint Tensor, nint Memory, bool Whole);
}
