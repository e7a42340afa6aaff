using System.Diagnostics;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>Copies between host memory that is pinned for a device and that device, on a queue of its own. Used by one thread at a time.</summary>
internal sealed unsafe class PinnedCopies : IDisposable
{
    private const long Most = 1L << 30; // host memory that is gone through, more than a server's caches
    private const long Piece = 64L << 20;

    private readonly GgmlBackend* _queue;
    private readonly GgmlBackendBuffer* _host, _device;
    private readonly GgmlContext* _context;
    private readonly GgmlTensor* _piece;
    private readonly int _pieces;

    /// <param name="device">A ggml_backend_dev_t. One that pins no memory copies from ordinary memory.</param>
    /// <param name="hostBytes">At most so much host memory; at least a piece is taken.</param>
    /// <exception cref="EngineException">Host or device refuse the memory.</exception>
    public PinnedCopies(nint device, long hostBytes)
    {
        var of = (GgmlBackendDevice*)device;
        _pieces = (int)Math.Max(1, Math.Min(Most, hostBytes) / Piece);
        GgmlBackendBufferType* pinned = GgmlBackendApi.GgmlBackendDevHostBufferType(of);
        _host = GgmlGraphApi.GgmlBackendBuftAllocBuffer(pinned is not null ? pinned : GgmlBackendApi.GgmlBackendDevBufferType((GgmlBackendDevice*)EngineDevices.Host()), (nuint)(_pieces * Piece));
        _device = GgmlGraphApi.GgmlBackendBuftAllocBuffer(GgmlBackendApi.GgmlBackendDevBufferType(of), (nuint)Piece);
        _queue = GgmlGraphApi.GgmlBackendDevInit(of, null);
        _context = GgmlGraphApi.GgmlInit(new GgmlInitParams { MemSize = 2 * GgmlApi.GgmlTensorOverhead(), NoAlloc = 1 });
        if (_host is null || _device is null || _queue is null || _context is null)
        {
            Dispose();
            throw new EngineException($"{Utf8.Text(GgmlBackendApi.GgmlBackendDevName(of))} refused {_pieces * Piece} bytes of pinned memory for measuring, or the {Piece} that they go to");
        }
        GgmlGraphApi.GgmlBackendBufferClear(_host, ComputeBench.Filling);
        _piece = GgmlGraphApi.GgmlNewTensor3d(_context, TensorType.F32, Piece / sizeof(float), 1, 1);
        _ = GgmlGraphApi.GgmlBackendTensorAlloc(_device, _piece, GgmlGraphApi.GgmlBackendBufferGetBase(_device));
    }

    /// <summary>Copies until told to stop; gives bytes per second.</summary>
    /// <param name="toDevice">Which way.</param>
    /// <param name="goOn">Asked after each piece.</param>
    public double Speed(bool toDevice, Func<bool> goOn)
    {
        Copy(toDevice, 0); // warms up
        long started = Stopwatch.GetTimestamp();
        int copied = 0;
        do Copy(toDevice, copied++ % _pieces);
        while (goOn());
        return copied * (double)Piece / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    public void Dispose()
    {
        if (_queue is not null) GgmlGraphApi.GgmlBackendFree(_queue);
        if (_context is not null) GgmlGraphApi.GgmlFree(_context);
        if (_device is not null) GgmlGraphApi.GgmlBackendBufferFree(_device);
        if (_host is not null) GgmlGraphApi.GgmlBackendBufferFree(_host);
    }

    private void Copy(bool toDevice, int piece)
    {
        void* host = (byte*)GgmlGraphApi.GgmlBackendBufferGetBase(_host) + piece * Piece;
        if (toDevice) GgmlGraphApi.GgmlBackendTensorSetAsync(_queue, _piece, host, 0, (nuint)Piece);
        else GgmlGraphApi.GgmlBackendTensorGetAsync(_queue, _piece, host, 0, (nuint)Piece);
        GgmlGraphApi.GgmlBackendSynchronize(_queue);
    }
}
