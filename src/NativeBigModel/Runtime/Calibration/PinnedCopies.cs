using System.Diagnostics;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>Copies between host memory that is pinned for a device and that device, one after the other and without a pause, as a ring's loads follow each other. Used by one thread at a time.</summary>
internal sealed unsafe class PinnedCopies : IDisposable
{
    private const long Most = 1L << 30; // host memory that is gone through, more than a server's caches
    private const long Piece = 64L << 20;

    private readonly GgmlBackend*[] _queues = new GgmlBackend*[2]; // in turn: the next copy waits behind the one that is under way
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
        for (int i = 0; i < _queues.Length; i++) _queues[i] = GgmlGraphApi.GgmlBackendDevInit(of, null);
        _context = GgmlGraphApi.GgmlInit(new GgmlInitParams { MemSize = 2 * GgmlApi.GgmlTensorOverhead(), NoAlloc = 1 });
        if (_host is null || _device is null || _queues[0] is null || _queues[1] is null || _context is null)
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
        Begin(toDevice, 0);
        Wait(0); // warms up
        Begin(toDevice, 0);
        long started = Stopwatch.GetTimestamp(); // a device that copies at once has made one by now, and makes one more than it waits for
        int copied = 0;
        do
        {
            Begin(toDevice, copied + 1);
            Wait(copied++);
        }
        while (goOn());
        double seconds = Stopwatch.GetElapsedTime(started).TotalSeconds;
        Wait(copied);
        return copied * (double)Piece / seconds;
    }

    public void Dispose()
    {
        foreach (GgmlBackend* queue in _queues)
        {
            if (queue is not null) GgmlGraphApi.GgmlBackendFree(queue);
        }
        if (_context is not null) GgmlGraphApi.GgmlFree(_context);
        if (_device is not null) GgmlGraphApi.GgmlBackendBufferFree(_device);
        if (_host is not null) GgmlGraphApi.GgmlBackendBufferFree(_host);
    }

    private void Begin(bool toDevice, int copy)
    {
        GgmlBackend* queue = _queues[copy % _queues.Length];
        void* host = (byte*)GgmlGraphApi.GgmlBackendBufferGetBase(_host) + copy % _pieces * Piece;
        if (toDevice) GgmlGraphApi.GgmlBackendTensorSetAsync(queue, _piece, host, 0, (nuint)Piece);
        else GgmlGraphApi.GgmlBackendTensorGetAsync(queue, _piece, host, 0, (nuint)Piece);
    }

    private void Wait(int copy) => GgmlGraphApi.GgmlBackendSynchronize(_queues[copy % _queues.Length]);
}
