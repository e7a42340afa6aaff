using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>One device with memory full of weights to multiply by. Every byte is 0x33, a harmless value in every type. Used by one thread at a time.</summary>
internal sealed unsafe class ComputeBench : IDisposable
{
    /// <summary>Less than this nothing keeps of its speed: measured times may be disturbed.</summary>
    public const double LeastShare = 0.05;

    /// <summary>What every byte of memory is filled with.</summary>
    public const byte Filling = 0x33;

    // Matrices of large models, and small ones, which show what a matrix takes whatever its size.
    private const int ReadColumns = 8192, ReadRows = 28672, Columns = 4096, Rows = 14336, SmallRows = 1024, SmallPromptRows = 4096, TrialRows = 1024, SmallExpertRows = 768;
    private const int Matrices = 8; // of a prompt: enough for a GPU not to wait for the next
    private const double Soon = 2e-3; // seconds, before which a device is a fast one, and its kernels' start is seen
    private const double MostOfLarge = 0.2;
    private const int Products = 3; // of an expert
    private static readonly (int Columns, int Count, int Used) s_experts = (Columns, 8, 2), s_smallExperts = (2048, 32, 8), s_manyExperts = (2048, PromptTokens / MatrixSpeeds.FewExpertTokens * 8, 8);
    private const int GraphNodes = 2048;
    private const int PromptTokens = MatrixSpeeds.PromptTokens;
    private const int Alignment = 256;
    private const int LeastMatrices = 8, LeastStacks = 3; // more than one is in any cache
    private const long Scratch = 80L << 20, ProductAt = 16L << 20, IdsAt = 15L << 20;

    private readonly GgmlBackend* _backend;
    private readonly GgmlBackendBuffer* _weights, _scratch;
    private readonly delegate* unmanaged[Cdecl]<GgmlBackend*, int, void> _setThreads;

    /// <param name="device">A ggml_backend_dev_t.</param>
    /// <param name="weightBytes">Memory for weights: more than the device's caches.</param>
    /// <param name="layout">The ggml_backend_buffer_type_t that the weights lie in; 0 for the device's own.</param>
    /// <exception cref="EngineException">The device refuses the memory.</exception>
    public ComputeBench(nint device, long weightBytes, nint layout = 0)
    {
        var of = (GgmlBackendDevice*)device;
        (Device, WeightBytes) = (device, weightBytes);
        _setThreads = (delegate* unmanaged[Cdecl]<GgmlBackend*, int, void>)GgmlGraphApi.GgmlBackendRegGetProcAddress(GgmlGraphApi.GgmlBackendDevBackendReg(of), "ggml_backend_set_n_threads");
        GgmlBackendBufferType* own = GgmlBackendApi.GgmlBackendDevBufferType(of);
        _backend = GgmlGraphApi.GgmlBackendDevInit(of, null);
        _scratch = GgmlGraphApi.GgmlBackendBuftAllocBuffer(own, (nuint)Scratch);
        _weights = GgmlGraphApi.GgmlBackendBuftAllocBuffer(layout == 0 ? own : (GgmlBackendBufferType*)layout, (nuint)weightBytes);
        if (_backend is null || _scratch is null || _weights is null)
        {
            Dispose();
            throw new EngineException($"{Name} could not be started, or refused {weightBytes + Scratch} bytes for measuring");
        }
        GgmlGraphApi.GgmlBackendBufferClear(_scratch, Filling);
        GgmlGraphApi.GgmlBackendBufferClear(_weights, Filling);
    }

    /// <summary>Memory for weights.</summary>
    public long WeightBytes { get; }

    /// <summary>The device, as ggml_backend_dev_t.</summary>
    public nint Device { get; }

    public string Name => Utf8.Text(GgmlBackendApi.GgmlBackendDevName((GgmlBackendDevice*)Device));

    /// <summary>Threads of a CPU; other devices take no notice.</summary>
    public void SetThreads(int threads)
    {
        if (_setThreads is not null) _setThreads(_backend, threads);
    }

    /// <summary>Bytes of weights per second, one vector at a time, by large matrices; null for a type that the device does not multiply by.</summary>
    public double? ReadSpeed(TensorType type, TimeSpan budget, CancellationToken cancel) => Read(type, ReadColumns, ReadRows, budget, cancel) is { } run ? run.Bytes / run.Seconds : null;

    /// <summary>How fast it multiplies by a type; null for one that it does not multiply by.</summary>
    /// <param name="type">Of the weights.</param>
    /// <param name="budget">About how long.</param>
    /// <param name="cancel">Stops it between runs.</param>
    public MatrixSpeed? Speed(TensorType type, TimeSpan budget, CancellationToken cancel)
    {
        if (Read(type, ReadColumns, ReadRows, budget / 2, cancel) is not { } large || Read(type, Columns, SmallRows, budget / 4, cancel) is not { } small) return null;
        (double reading, double start) = Line(small.Seconds / small.Count, (double)small.Bytes / small.Count, large.Seconds / large.Count, (double)large.Bytes / large.Count);
        if (Multiply(type, TrialRows, 1, budget / 4, cancel) is not { } trial) return null;
        (double multiplying, double promptStart) = (trial.Elements / trial.Seconds, 0);
        if (trial.Seconds < Soon && Multiply(type, SmallPromptRows, Matrices, budget / 4, cancel) is { } few && Multiply(type, Rows, Matrices, budget / 4, cancel) is { } many)
            (multiplying, promptStart) = Line(few.Seconds / few.Count, (double)few.Elements / few.Count, many.Seconds / many.Count, (double)many.Elements / many.Count);
        return new(type, reading, 2.0 * PromptTokens * multiplying) { StartSeconds = start, PromptStartSeconds = promptStart };
    }

    /// <summary>How fast it multiplies by each type and by a mixture's experts, without what layers take.</summary>
    /// <exception cref="EngineException">The device multiplies by none of the types.</exception>
    public MatrixSpeeds Speeds(IReadOnlyList<TensorType> asked, TimeSpan each, CancellationToken cancel)
    {
        MatrixSpeed[] types = [.. asked.Select(type => Speed(type, each * 1.5, cancel)).OfType<MatrixSpeed>()];
        if (types.Length == 0) throw new EngineException($"{Name} multiplies by none of {string.Join(", ", asked)}");
        return WithExperts(new([.. types], 1, 0), Experts(Packed(types), each, cancel));
    }

    /// <summary>The type that experts are measured with.</summary>
    public static MatrixSpeed Packed(IReadOnlyList<MatrixSpeed> types) => types.FirstOrDefault(type => type.Type == TensorType.Q4_0) ?? types[0];

    /// <summary>Speeds with what was measured of experts, or as they are where nothing could be.</summary>
    public static MatrixSpeeds WithExperts(MatrixSpeeds speeds, ExpertSpeeds? experts) => experts is null ? speeds : speeds with
    {
        ExpertShare = Share(experts.Reading), PromptExpertShare = Share(experts.Prompt), FewPromptExpertShare = experts.FewPrompt is { } few ? Share(few) : null, MixtureSeconds = Math.Max(0, experts.Layer),
    };

    private static double Share(double measured) => Math.Clamp(measured, LeastShare, 1);

    /// <summary>What a device's speed with matrices is worth with experts.</summary>
    /// <param name="Reading">Bytes per second of two of eight at a time, for one token, over those of matrices.</param>
    /// <param name="Prompt">Operations per second for a prompt, over those of matrices.</param>
    /// <param name="FewPrompt">The same with many experts that have few of its tokens each; null where that was not tried.</param>
    /// <param name="Layer">Seconds that one token's small experts of a layer take beyond that.</param>
    public sealed record ExpertSpeeds(double Reading, double Prompt, double? FewPrompt, double Layer);

    /// <summary>The same, measured; null where the device does not multiply by experts of that type.</summary>
    public ExpertSpeeds? Experts(MatrixSpeed speed, TimeSpan budget, CancellationToken cancel)
    {
        if (Run(graph => FillExperts(graph, speed.Type, s_experts, Rows, 1, null), budget / 2, cancel) is not { } reading || Run(graph => FillExperts(graph, speed.Type, s_experts, TrialRows, PromptTokens, 1), budget / 4, cancel) is not { } prompt
            || Run(graph => FillExperts(graph, speed.Type, s_smallExperts, SmallExpertRows, 1, null), budget / 4, cancel) is not { } small) return null;
        // A few rows leave much of a fast device with nothing to do, and a slow one multiplies by no more tokens than there are.
        double? few = null;
        if (prompt.Seconds < Soon)
        {
            prompt = Run(graph => FillExperts(graph, speed.Type, s_experts, Rows, PromptTokens, Matrices), budget / 4, cancel) ?? prompt;
            few = Run(graph => FillExperts(graph, speed.Type, s_manyExperts, SmallExpertRows, PromptTokens, Matrices), budget / 4, cancel) is { } run ? Multiplying(run) / run.Seconds : null;
        }
        double Reading(Total run) => run.Count * speed.StartSeconds + run.Bytes / speed.BytesPerSecond;
        double Multiplying(Total run) => run.Count * speed.PromptStartSeconds + 2.0 * PromptTokens * run.Elements / speed.FlopsPerSecond;
        double share = Reading(reading) / reading.Seconds;
        return new(share, Multiplying(prompt) / prompt.Seconds, few, Products * (small.Seconds - Reading(small) / Math.Min(1, share)) / small.Count);
    }

    public void Dispose()
    {
        if (_weights is not null) GgmlGraphApi.GgmlBackendBufferFree(_weights);
        if (_scratch is not null) GgmlGraphApi.GgmlBackendBufferFree(_scratch);
        if (_backend is not null) GgmlGraphApi.GgmlBackendFree(_backend);
    }

    private Total? Read(TensorType type, int columns, int rows, TimeSpan budget, CancellationToken cancel) =>
        Run(graph => Fill(graph, type, columns, RowsThatFit(type, columns, rows), 1, null), budget, cancel);

    private Total? Multiply(TensorType type, int rows, int matrices, TimeSpan budget, CancellationToken cancel) =>
        Run(graph => Fill(graph, type, Columns, RowsThatFit(type, Columns, rows), PromptTokens, matrices), budget, cancel);

    // What each takes whatever its size, and how many more a second, where time grows with the amount. The first is a small part of what a large one takes: two times that were
    // disturbed would say anything.
    private static (double PerSecond, double Each) Line(double small, double smallAmount, double large, double largeAmount)
    {
        double grown = large - small, each = largeAmount < 2 * smallAmount || grown <= 0 ? 0 : Math.Clamp(small - smallAmount * grown / (largeAmount - smallAmount), 0, MostOfLarge * large);
        return (largeAmount / (large - each), each);
    }

    private Total? Run(Action<Graph> fill, TimeSpan budget, CancellationToken cancel)
    {
        GgmlContext* context = NewContext();
        try
        {
            var graph = new Graph(context, GgmlGraphApi.GgmlNewGraphCustom(context, GraphNodes, grads: false));
            fill(graph);
            if (graph.Unsupported || graph.Elements == 0) return null;
            return new(TypicalTime.Of(() => Compute(graph), warmups: 0, least: 2, budget, cancel), graph.Count, graph.Bytes, graph.Elements);
        }
        finally { GgmlGraphApi.GgmlFree(context); }
    }

    private void Compute(Graph graph)
    {
        int status = GgmlGraphApi.GgmlBackendGraphCompute(_backend, graph.Address);
        if (status != 0) throw new EngineException($"{Name} could not compute (status {status})");
    }

    private int RowsThatFit(TensorType type, int columns, int most, int matrices = LeastMatrices) => (int)Math.Clamp(WeightBytes / matrices / type.RowBytes(columns) / Alignment * Alignment, Alignment, most);

    // Matrices one behind the other: so many, from the beginning again where the memory is through; or as many as there is room for.
    private void Fill(Graph graph, TensorType type, int columns, int rows, int tokens, int? count)
    {
        GgmlTensor* vectors = Place(_scratch, GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.F32, columns, tokens, 1), 0);
        long at = 0;
        for (int i = 0; i < (count ?? GraphNodes / 2); i++)
        {
            GgmlTensor* weights = GgmlGraphApi.GgmlNewTensor3d(graph.Context, type, columns, rows, 1);
            long step = Step(weights);
            if (!HasRoom(ref at, step, again: count is not null)) return;
            Place(_weights, weights, at);
            Add(graph, GgmlGraphApi.GgmlMulMat(graph.Context, weights, vectors), type.RowBytes(columns) * rows, (long)columns * rows);
            at += step;
        }
    }

    // Each expert of a stack is read once, as many at a time as a token uses. A prompt's tokens choose as it happens, the same each time: some experts have more of them than others.
    // So many products, from the first stack again where the memory is through; or as many as there is room for.
    private void FillExperts(Graph graph, TensorType type, (int Columns, int Count, int Used) experts, int mostRows, int tokens, int? count)
    {
        int rows = RowsThatFit(type, experts.Columns * experts.Count, mostRows, count is null ? LeastMatrices : LeastStacks);
        GgmlTensor* vectors = Place(_scratch, GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.F32, experts.Columns, 1, tokens), 0);
        var choices = new GgmlTensor*[tokens == 1 ? experts.Count / experts.Used : 1];
        int[] chosen = new int[experts.Used * tokens];
        var random = new Random(1);
        int[] order = [.. Enumerable.Range(0, experts.Count)];
        for (int i = 0; i < choices.Length; i++)
        {
            for (int at = 0; at < chosen.Length; at += experts.Used)
            {
                if (tokens > 1) random.Shuffle(order);
                for (int one = 0; one < experts.Used; one++) chosen[at + one] = order[(i + one * choices.Length) % experts.Count];
            }
            choices[i] = Place(_scratch, GgmlGraphApi.GgmlNewTensor3d(graph.Context, TensorType.I32, experts.Used, tokens, 1), IdsAt + i * Alignment);
            fixed (int* ids = chosen) GgmlBackendApi.GgmlBackendTensorSet(choices[i], ids, 0, (nuint)(sizeof(int) * chosen.Length));
        }
        long offset = 0;
        while (graph.Count + choices.Length <= (count ?? GraphNodes / 2))
        {
            GgmlTensor* stack = GgmlGraphApi.GgmlNewTensor3d(graph.Context, type, experts.Columns, rows, experts.Count);
            long step = Step(stack);
            if (!HasRoom(ref offset, step, again: count is not null)) return;
            Place(_weights, stack, offset);
            foreach (GgmlTensor* choice in choices) Add(graph, GgmlGraphApi.GgmlMulMatId(graph.Context, stack, vectors, choice), type.RowBytes(experts.Columns) * rows * experts.Used, (long)experts.Columns * rows * experts.Used);
            offset += step;
        }
    }

    // Where the memory is through, there is room at its beginning, if that may serve again.
    private bool HasRoom(ref long at, long step, bool again)
    {
        if (at + step <= WeightBytes) return true;
        bool hasRoom = again && at > 0;
        at = 0;
        return hasRoom;
    }

    private void Add(Graph graph, GgmlTensor* product, long bytes, long elements)
    {
        Place(_scratch, product, ProductAt);
        graph.Unsupported |= !GgmlGraphApi.GgmlBackendSupportsOp(_backend, product);
        GgmlGraphApi.GgmlBuildForwardExpand(graph.Address, product);
        graph.Count++;
        graph.Bytes += bytes;
        graph.Elements += elements;
    }

    private long Step(GgmlTensor* weights) => ((long)GgmlGraphApi.GgmlBackendBufferGetAllocSize(_weights, weights) + Alignment - 1) / Alignment * Alignment;

    private GgmlTensor* Place(GgmlBackendBuffer* buffer, GgmlTensor* tensor, long offset)
    {
        int status = GgmlGraphApi.GgmlBackendTensorAlloc(buffer, tensor, (byte*)GgmlGraphApi.GgmlBackendBufferGetBase(buffer) + offset);
        return status == 0 ? tensor : throw new EngineException($"{Name} refused a tensor (status {status})");
    }

    private static GgmlContext* NewContext() => GgmlGraphApi.GgmlInit(new GgmlInitParams
    {
        MemSize = GraphNodes * 2 * (GgmlApi.GgmlTensorOverhead() + 64) + GgmlGraphApi.GgmlGraphOverheadCustom(GraphNodes, grads: false), NoAlloc = 1,
    });

    /// <summary>A run's seconds, and its matrices with what they have together.</summary>
    private readonly record struct Total(double Seconds, int Count, long Bytes, long Elements);

    private sealed class Graph(GgmlContext* context, GgmlGraph* address)
    {
        public GgmlContext* Context => context;

        public GgmlGraph* Address => address;

        public bool Unsupported { get; set; }

        public int Count { get; set; }

        public long Bytes { get; set; }

        public long Elements { get; set; }
    }
}
