using System.Runtime.InteropServices;
using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime;

/// <summary>The engine's tensors as a place for bytes: host memory is encoded into directly, a device is handed each piece, and a memory type of its own layout each whole tensor.</summary>
internal sealed unsafe class EngineMemory : ITensorSink, IDisposable
{
    private readonly Place[] _places;

    /// <param name="targets">The ggml_tensor of each, where its bytes go if not to its own memory, and whether it takes only all of them at once.</param>
    public EngineMemory(IReadOnlyList<(nint Tensor, nint Bytes, bool Whole)> targets)
    {
        _places = [.. targets.Select(target => new Place(target.Tensor, target.Bytes, target.Whole))];
        foreach (Place place in _places) place.Prepare();
    }

    public Span<byte> Begin(int tensor, long offset, int bytes, byte[] scratch) =>
        _places[tensor].Memory() is { } memory && memory != 0 ? new Span<byte>((byte*)memory + offset, bytes) : scratch.AsSpan(0, bytes);

    public void End(int tensor, long offset, ReadOnlySpan<byte> piece) => _places[tensor].Arrived(offset, piece);

    public void Dispose()
    {
        foreach (Place place in _places) place.Dispose();
    }

    private sealed class Place(nint tensor, nint bytes, bool whole) : IDisposable
    {
        private readonly GgmlTensor* _tensor = (GgmlTensor*)tensor;
        private readonly Lock _gate = new();
        private long _missing = (long)GgmlApi.GgmlNBytes((GgmlTensor*)tensor);
        private byte* _assembled;

        /// <summary>Readies memory of the host that the engine has allocated, and nothing was written to.</summary>
        public void Prepare()
        {
            if (bytes == 0 && (whole || GgmlBackendApi.GgmlBackendBufferIsHost(_tensor->Buffer))) HugePages.Wish(_tensor->Data, GgmlApi.GgmlNBytes(_tensor));
        }

        public nint Memory()
        {
            if (bytes != 0) return bytes;
            if (!whole) return GgmlBackendApi.GgmlBackendBufferIsHost(_tensor->Buffer) ? (nint)_tensor->Data : 0;
            lock (_gate) return (nint)(_assembled = _assembled is null ? HugePages.Allocate(GgmlApi.GgmlNBytes(_tensor)) : _assembled);
        }

        public void Arrived(long offset, ReadOnlySpan<byte> piece)
        {
            if (whole)
            {
                if (Interlocked.Add(ref _missing, -piece.Length) > 0) return;
                GgmlBackendApi.GgmlBackendTensorSet(_tensor, _assembled, 0, GgmlApi.GgmlNBytes(_tensor));
                Dispose();
            }
            else if (Memory() == 0)
            {
                fixed (byte* from = piece) GgmlBackendApi.GgmlBackendTensorSet(_tensor, from, (nuint)offset, (nuint)piece.Length);
            }
        }

        public void Dispose()
        {
            NativeMemory.AlignedFree(_assembled);
            _assembled = null;
        }
    }
}
