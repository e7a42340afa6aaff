using System.Diagnostics;
using NativeBigModel.Native;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>One device with memory full of weights to multiply by. Every byte is 0x33, a harmless value in every type. Used by one thread at a time.</summary>
internal sealed unsafe class ComputeBench : IDisposable
{
    private const int Columns = 4096, Rows = 4096, Experts = 8, ExpertsUsed = 2, GraphNodes = 2048;
    private const int PromptTokens = 512;
    private const int Alignment = 256;
    private const byte Filling = 0x33;
    private const int KernelsPerLayer = 18; // norms, projections, rotary positions, attention and activation of a decoder's layer
    private const long Scratch = 64L << 20;

    private readonly GgmlBackend* _backend;
    private readonly GgmlBackendBuffer* _buffer;
    private readonly byte* _base;
    private readonly long _weights;
    private readonly delegate* unmanaged[Cdecl]<GgmlBackend*, int, void> _setThreads;

    /// <param name="device">A ggml_backend_dev_t.</param>
    /// <param name="weightBytes">Memory for weights: more than the device's caches.</param>
    /// <exception cref="EngineException">The device refuses the memory.</exception>
    public ComputeBench(nint device, long weightBytes)
    {
        var of = (GgmlBackendDevice*)device;
        Device = device;
        _weights = weightBytes;
        _setThreads = (delegate* unmanaged[Cdecl]<GgmlBackend*, int, void>)GgmlGraphApi.GgmlBackendRegGetProcAddress(GgmlGraphApi.GgmlBackendDevBackendReg(of), "ggml_backend_set_n_threads");
        _backend = GgmlGraphApi.GgmlBackendDevInit(of, null);
        if (_backend is null) throw new EngineException($"{Name} could not be started");
        _buffer = GgmlGraphApi.GgmlBackendBuftAllocBuffer(GgmlBackendApi.GgmlBackendDevBufferType(of), (nuint)(weightBytes + Scratch));
        if (_buffer is null)
        {
            GgmlGraphApi.GgmlBackendFree(_backend);
            throw new EngineException($"{Name} refused {weightBytes + Scratch} bytes for measuring");
        }
        _base = (byte*)GgmlGraphApi.GgmlBackendBufferGetBase(_buffer);
        GgmlGraphApi.GgmlBackendBufferClear(_buffer, Filling);
    }

    /// <summary>The device, as ggml_backend_dev_t.</summary>
    public nint Device { get; }

    public string Name => Utf8.Text(GgmlBackendApi.GgmlBackendDevName((GgmlBackendDevice*)Device));

    /// <summary>Threads of a CPU; other devices take no notice.</summary>
    public void SetThreads(int threads)
    {
        if (_setThreads is not null) _setThreads(_backend, threads);
    }

    /// <summary>Bytes of weights per second, one vector at a time; null for a type that the device does not multiply by.</summary>
    public double? ReadSpeed(TensorType type, TimeSpan budget, CancellationToken cancel) => Run(graph => Fill(graph, type, Rows, 1, int.MaxValue), budget, cancel) is { } run ? run.Bytes / run.Seconds : null;

    /// <summary>Operations per second with a prompt of 512 tokens.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="matrices">How many matrices make up a run: enough for the device not to wait for the next.</param>
    /// <param name="budget">About how long.</param>
    /// <param name="cancel">Stops it between runs.</param>
    public double? MultiplySpeed(TensorType type, int matrices, TimeSpan budget, CancellationToken cancel) =>
        Run(graph => Fill(graph, type, matrices == 1 ? Rows / 4 : Rows, PromptTokens, matrices), budget, cancel) is { } run ? 2.0 * PromptTokens * run.Elements / run.Seconds : null;

    /// <summary>The same as <see cref="ReadSpeed"/> for two experts of eight at a time: bytes of the two.</summary>
    public double? ExpertSpeed(TensorType type, TimeSpan budget, CancellationToken cancel) =>
        Run(graph => FillExperts(graph, type), budget, cancel) is { } run ? run.Bytes * ExpertsUsed / Experts / run.Seconds : null;

    /// <summary>What the kernels of a layer take that have next to nothing to do.</summary>
    public double LayerSeconds(TimeSpan budget, CancellationToken cancel)
    {
        const int layers = 16;
        return Run(graph => Fill(graph, TensorType.F16, 32, 1, layers * KernelsPerLayer), budget, cancel) is { } run ? run.Seconds / layers : 0;
    }

    /// <summary>Runs copies between pinned memory and the device until told to stop; gives bytes per second.</summary>
    public double CopySpeed(bool toDevice, Func<bool> goOn)
    {
        var device = (GgmlBackendDevice*)Device;
        const long bytes = 128L << 20;
        GgmlBackendBufferType* pinned = GgmlBackendApi.GgmlBackendDevHostBufferType(device);
        GgmlBackendBuffer* host = pinned is null ? null : GgmlGraphApi.GgmlBackendBuftAllocBuffer(pinned, (nuint)bytes);
        if (host is null) throw new EngineException($"{Name} has no pinned memory");
        GgmlContext* context = NewContext();
        GgmlBackend* copies = GgmlGraphApi.GgmlBackendDevInit(device, null);
        try
        {
            GgmlGraphApi.GgmlBackendBufferClear(host, Filling);
            void* from = GgmlGraphApi.GgmlBackendBufferGetBase(host);
            GgmlTensor* to = Place(GgmlGraphApi.GgmlNewTensor3d(context, TensorType.F32, Math.Min(bytes, _weights) / 4, 1, 1), 0);
            var size = (nuint)Math.Min(bytes, _weights) / 4 * 4;
            long copied = -(long)size; // the first warms up
            long started = 0;
            while (copied < 0 || goOn())
            {
                if (toDevice) GgmlGraphApi.GgmlBackendTensorSetAsync(copies, to, from, 0, size);
                else GgmlGraphApi.GgmlBackendTensorGetAsync(copies, to, from, 0, size);
                GgmlGraphApi.GgmlBackendSynchronize(copies);
                if (copied < 0) started = Stopwatch.GetTimestamp();
                copied += (long)size;
            }
            return copied / Stopwatch.GetElapsedTime(started).TotalSeconds;
        }
        finally
        {
            GgmlGraphApi.GgmlBackendFree(copies);
            GgmlGraphApi.GgmlFree(context);
            GgmlGraphApi.GgmlBackendBufferFree(host);
        }
    }

    public void Dispose()
    {
        GgmlGraphApi.GgmlBackendBufferFree(_buffer);
        GgmlGraphApi.GgmlBackendFree(_backend);
    }

    private (double Seconds, long Bytes, long Elements)? Run(Action<Graph> fill, TimeSpan budget, CancellationToken cancel)
    {
        GgmlContext* context = NewContext();
        try
        {
            var graph = new Graph(context, GgmlGraphApi.GgmlNewGraphCustom(context, GraphNodes, grads: false));
            fill(graph);
            if (graph.Unsupported || graph.Elements == 0) return null;
            var times = new List<double>();
            long started = Stopwatch.GetTimestamp();
            // The first warms up, and is one of two on a machine so slow that it takes the budget.
            while (times.Count < 2 || Stopwatch.GetElapsedTime(started) < budget)
            {
                cancel.ThrowIfCancellationRequested();
                long begun = Stopwatch.GetTimestamp();
                Compute(graph);
                times.Add(Stopwatch.GetElapsedTime(begun).TotalSeconds);
            }
            // What the device can do, not what else the machine was doing: one of the faster runs.
            times.Sort();
            return (times[times.Count / 4], graph.Bytes, graph.Elements);
        }
        finally { GgmlGraphApi.GgmlFree(context); }
    }

    private void Compute(Graph graph)
    {
        int status = GgmlGraphApi.GgmlBackendGraphCompute(_backend, graph.Address);
        if (status != 0) throw new EngineException($"{Name} could not compute (status {status})");
    }

    private void Fill(Graph graph, TensorType type, int rows, int tokens, int most)
    {
        long bytes = type.RowBytes(Columns) * rows, step = (bytes + Alignment - 1) / Alignment * Alignment;
        GgmlTensor* vectors = Place(GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.F32, Columns, tokens, 1), _weights);
        for (int i = 0; i < most && i < GraphNodes / 2; i++)
        {
            long at = i * step % Math.Max(step, _weights / step * step);
            if (most == int.MaxValue && (i + 1) * step > _weights) break;
            GgmlTensor* weights = Place(GgmlGraphApi.GgmlNewTensor3d(graph.Context, type, Columns, rows, 1), at);
            Add(graph, GgmlGraphApi.GgmlMulMat(graph.Context, weights, vectors), bytes, (long)Columns * rows);
        }
    }

    private void FillExperts(Graph graph, TensorType type)
    {
        long bytes = type.RowBytes(Columns) * Rows * Experts;
        GgmlTensor* vectors = Place(GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.F32, Columns, 1, 1), _weights);
        GgmlTensor* ids = Place(GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.I32, ExpertsUsed, 1, 1), _weights + (1 << 20));
        int* chosen = stackalloc int[ExpertsUsed] { 1, 6 };
        GgmlBackendApi.GgmlBackendTensorSet(ids, chosen, 0, sizeof(int) * ExpertsUsed);
        for (long at = 0; at + bytes <= _weights; at += bytes)
        {
            GgmlTensor* stack = Place(GgmlGraphApi.GgmlNewTensor3d(graph.Context, type, Columns, Rows, Experts), at);
            Add(graph, GgmlGraphApi.GgmlMulMatId(graph.Context, stack, vectors, ids), bytes, (long)Columns * Rows * Experts);
        }
    }

    private void Add(Graph graph, GgmlTensor* product, long bytes, long elements)
    {
        Place(product, _weights + (16L << 20));
        graph.Unsupported |= !GgmlGraphApi.GgmlBackendSupportsOp(_backend, product);
        GgmlGraphApi.GgmlBuildForwardExpand(graph.Address, product);
        graph.Bytes += bytes;
        graph.Elements += elements;
    }

    private GgmlTensor* Place(GgmlTensor* tensor, long offset)
    {
        int status = GgmlGraphApi.GgmlBackendTensorAlloc(_buffer, tensor, _base + offset);
        return status == 0 ? tensor : throw new EngineException($"{Name} refused a tensor (status {status})");
    }

    private static GgmlContext* NewContext() => GgmlGraphApi.GgmlInit(new GgmlInitParams
    {
        MemSize = GraphNodes * 2 * (GgmlApi.GgmlTensorOverhead() + 64) + GgmlGraphApi.GgmlGraphOverheadCustom(GraphNodes, grads: false), NoAlloc = 1,
    });

    private sealed class Graph(GgmlContext* context, GgmlGraph* address)
    {
        public GgmlContext* Context => context;

        public GgmlGraph* Address => address;

        public bool Unsupported { get; set; }

        public long Bytes { get; set; }

        public long Elements { get; set; }
    }
}
