using System.Collections.Immutable;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>
/// What a layer takes beside its matrices, a pass beside its layers, and a vector on its way to another device: the engine computes small models, and what their matrices
/// take, by speeds that were measured before or in the same moments, is taken off.
/// </summary>
internal static class LayerBench
{
    private const int Width = 4096, LeastWidth = 512, LeastInner = 256;
    private const int Few = 1, Many = 5;
    private const int SmallExpert = 8; // of the stream's width, what an expert has
    private static readonly (int Count, int Used) s_experts = (32, 8);
    private const int HostLayers = 12, HostWidth = 1024, HostInner = 1792; // narrow, so that their matrices weigh little, and more than caches hold
    private const int CrossingLayers = 24, CrossingWidth = 2048; // as wide as models are, with networks as small as may be: where they take less than the way, no matter how fast they are read, the way is seen
    private const int ShortText = 16, LongText = 512;
    private const int Warmups = 2; // compile kernels and record graphs
    private const double Undisturbed = 0.1; // of the times of models that are compared: what disturbs one and not the other would be taken for what one has more
    private static readonly TimeSpan s_longestPass = TimeSpan.FromSeconds(0.1); // of all layers; narrower ones are taken on a device that would need more

    /// <summary>
    /// The speeds of a CPU, with what a layer takes for one token beside its matrices and how fast it looks back over a text: what a pass takes beside is lost in it, and a prompt's
    /// matrices take all of the time.
    /// </summary>
    /// <param name="speeds">How fast it multiplies.</param>
    /// <param name="threads">Its threads.</param>
    /// <param name="freeBytes">Memory, of which less than a quarter is taken.</param>
    /// <param name="budget">About two thirds of how long it is computed.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static MatrixSpeeds OfHost(MatrixSpeeds speeds, int threads, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        // The networks of the second are twice as large: how much longer they take is what reading takes at these moments, and others would say nothing of them.
        ModelDefinition small = LayerModel.Of(HostLayers, HostWidth, TensorType.F16, HostInner), large = LayerModel.Of(HostLayers, HostWidth, TensorType.F16, HostInner * 2);
        if (small.Shape.WeightBytes + large.Shape.WeightBytes > freeBytes / 4) return speeds;
        double[] texts = Run(OnHost(small, threads, freeBytes), [(1, ShortText), (1, LongText)], budget / 2, cancel);
        double early = texts[0] / HostLayers, late = texts[1] / HostLayers, longer = Run(OnHost(large, threads, freeBytes), [(1, ShortText)], budget / 2, cancel)[0] / HostLayers - early;
        double operations = AttentionWork.Operations(small.Shape.Layers[0], LongText - ShortText);
        return speeds with { LayerSeconds = Math.Max(0, early - Matrices(Layer(small), speeds, longer / Network(small))), AttentionFlopsPerSecond = late > early ? operations / (late - early) : null };
    }

    /// <summary>The speeds of a GPU, with what a layer, a mixture's layer and a pass take for one token, and the first and the last of them for a prompt. As they were where it is too slow, or there is no memory for it.</summary>
    /// <param name="gpu">A ggml_backend_dev_t.</param>
    /// <param name="speeds">How fast it multiplies.</param>
    /// <param name="freeBytes">Of its memory, of which less than a quarter is taken.</param>
    /// <param name="budget">About a quarter of how long it is computed.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static MatrixSpeeds OfGpu(nint gpu, MatrixSpeeds speeds, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        const TensorType type = TensorType.Q4_0;
        (int Tokens, int Held)[] passes = [(1, LongText), (MatrixSpeeds.PromptTokens, 0)];
        if (Fitting(speeds, type, freeBytes) is not { } width) return speeds;
        ModelDefinition small = LayerModel.Of(Few, width, type), large = LayerModel.Of(Many, width, type);
        double[][] both = RunInTurn([OnGpu(gpu, small, freeBytes), OnGpu(gpu, large, freeBytes)], passes, budget * 2, cancel);
        double[] few = both[0], many = both[1];
        // Machines that others use give times that contradict each other: nothing takes less than no time.
        double[] each = [.. few.Zip(many, (one, other) => Math.Max(0, other - one) / (Many - Few))], layers = [.. each.Zip(passes, (seconds, pass) => Math.Max(0, seconds - Matrices(small, speeds, pass.Tokens)))];
        double[] beside = [.. few.Zip(each, (one, layer) => Math.Max(0, one - Few * layer))];
        ModelDefinition mixture = LayerModel.Of(Many, width, type, Math.Max(LeastInner, width / SmallExpert), s_experts);
        double mixed = Run(OnGpu(gpu, mixture, freeBytes), passes[..1], budget / 2, cancel)[0];
        return speeds with
        {
            LayerSeconds = layers[0], PassSeconds = beside[0], PromptLayerSeconds = layers[1], PromptPassSeconds = beside[1],
            MixtureSeconds = Math.Max(0, (mixed - beside[0]) / Many - layers[0] - Matrices(mixture, speeds, 1)),
        };
    }

    /// <summary>
    /// The seconds that a vector takes on its way from a GPU to the CPU and back: a small model with its feed-forward networks on the CPU, less the same with all of it on the GPU and what
    /// the networks' matrices take there more. Null where the plug-in is missing, or there is no memory for it.
    /// </summary>
    /// <param name="gpu">A ggml_backend_dev_t.</param>
    /// <param name="speeds">The machine's, of which the first GPU is this one, so far without this time.</param>
    /// <param name="freeBytes">Host memory, of which less than a quarter is taken; of the GPU's little more than a half of what is free.</param>
    /// <param name="budget">About how long each is computed.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static double? Crossing(nint gpu, MachineSpeeds speeds, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        ModelDefinition model = LayerModel.Of(CrossingLayers, CrossingWidth, TensorType.Q4_0, LeastInner);
        if (StreamingLibrary.FilePath is null || model.Shape.WeightBytes > Math.Min(freeBytes / 4, EngineDevices.Describe(gpu).FreeBytes / 2)) return null;
        Case divided = Divided(gpu, model, freeBytes, speeds.ThreadsBesideLink ?? 1);
        int crossings = divided.Plan.Layers.Count(FeedForwardPart.IsShared);
        if (crossings == 0) return null;
        // One after the other: the threads of one that has computed look for work for a while, and take cores from those of the next.
        double Token(Case of) => Run(of, [(1, ShortText)], budget, cancel)[0] / crossings;
        LayerWork network = LayerWork.Of(model.Shape, split: true)[FeedForwardPart.Of(0)];
        double On(MatrixSpeeds on, bool readsMeanwhile) => network.MatrixSeconds(on, 1, 1, 1, readsMeanwhile);
        return Math.Max(0, Token(divided) - Token(OnGpu(gpu, model, freeBytes)) - (On(speeds.Cpu, readsMeanwhile: false) - On(speeds.Gpus[0].Matrices, readsMeanwhile: true)));
    }

    // What is left for feed-forward networks holds none but those that pass through the ring.
    private static Case Divided(nint gpu, ModelDefinition model, long freeBytes, int threads)
    {
        Plan whole = Planned(model, gpus: [long.MaxValue / 4], freeBytes, 1, new());
        long networks = Network(model) * CrossingLayers, room = whole.Devices.First(device => device.Name == DeviceName.Gpu(0)).TotalBytes - networks + Network(model);
        Plan plan = Planned(model, gpus: [room], freeBytes, threads, new() { Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 });
        return new(model, EnginePlacement.Of(plan, model.Shape.Tensors, [gpu]), plan);
    }

    // By what reading takes at the moment: half of what it takes mostly, or twice that, if it seems to be less or more.
    private static double Matrices(LayerWork work, MatrixSpeeds speeds, double secondsPerByte) => work.Matrices.Sum(weights =>
    {
        (double usual, double start) = (1 / speeds.Of(weights.Type).BytesPerSecond, speeds.Of(weights.Type).StartSeconds);
        return weights.Count * start + weights.Bytes * Math.Clamp(secondsPerByte, usual / 2, usual * 2);
    });

    private static LayerWork Layer(ModelDefinition model) => LayerWork.Of(model.Shape, split: false)["blk.0"];

    private static long Network(ModelDefinition model) => model.Shape.Tensors.Where(FeedForwardPart.Holds).Sum(tensor => tensor.Bytes) / model.Shape.Layers.Length;

    private static double Matrices(ModelDefinition model, MatrixSpeeds speeds, int tokens) => Layer(model).MatrixSeconds(speeds, tokens, UsedShare(model), UsedShare(model), readsMeanwhile: true);

    private static double UsedShare(ModelDefinition model) => model.Shape.ExpertCount > 0 ? (double)model.Shape.ExpertUsedCount / model.Shape.ExpertCount : 1;

    // The widest that is computed and loaded soon enough; null where there is none.
    private static int? Fitting(MatrixSpeeds speeds, TensorType type, long freeBytes)
    {
        for (int width = Width; width >= LeastWidth; width /= 2)
        {
            ModelDefinition one = LayerModel.Of(1, width, type);
            if (one.Shape.WeightBytes * (Many + 1) <= freeBytes / 4 && Matrices(one, speeds, MatrixSpeeds.PromptTokens) * Many <= s_longestPass.TotalSeconds) return width;
        }
        return null;
    }

    // A plan with that much of each GPU, and none but its weights and caches.
    private static Plan Planned(ModelDefinition model, long[] gpus, long hostBytes, int threads, PlanOptions options) => Planner.Plan(model.Shape, new Machine([], hostBytes), options with
    {
        MaxMemory = new MemoryLimits { Host = hostBytes, Gpus = gpus.Select((bytes, i) => KeyValuePair.Create(i, bytes)).ToImmutableSortedDictionary() },
        ContextLength = LayerModel.Context, Threads = threads, ComputeBytes = new Dictionary<string, long>(),
    });

    private static Case OnHost(ModelDefinition model, int threads, long freeBytes)
    {
        Plan plan = Planned(model, [], freeBytes, threads, new());
        return new(model, EnginePlacement.Of(plan, model.Shape.Tensors), plan);
    }

    private static Case OnGpu(nint gpu, ModelDefinition model, long freeBytes)
    {
        Plan plan = Planned(model, [freeBytes], freeBytes, 1, new());
        return new(model, EnginePlacement.WhollyOn(gpu, plan), plan);
    }

    // Seconds of passes of so many tokens behind a text of so many others, when nothing disturbs them.
    private static double[] Run(Case one, (int Tokens, int Held)[] passes, TimeSpan each, CancellationToken cancel) => RunInTurn([one], passes, each * passes.Length, cancel)[0];

    // The same of several, each pass of all of them in turn.
    private static double[][] RunInTurn(Case[] cases, (int Tokens, int Held)[] passes, TimeSpan budget, CancellationToken cancel)
    {
        using NativeLog.Silence _ = NativeLog.Silenced();
        var loaded = new List<Loaded>();
        try
        {
            foreach (Case one in cases) loaded.Add(new(one, cancel));
            double[][] times = [.. passes.Select(pass =>
            {
                if (pass.Held > 0) loaded.ForEach(one => one.Compute(pass.Held, 0));
                // A prompt comes behind a token: its graph is built anew, and no recorded one is played.
                Action<int>? before = pass.Tokens > 1 ? i => loaded[i].Compute(1, pass.Held) : null;
                return TypicalTime.InTurn([.. loaded.Select<Loaded, Action>(one => () => one.Compute(pass.Tokens, pass.Held))], before, Warmups, least: 3, budget / passes.Length, Undisturbed, cancel);
            })];
            return [.. cases.Select((_, i) => times.Select(of => of[i]).ToArray())];
        }
        finally { loaded.ForEach(one => one.Dispose()); }
    }

    private sealed record Case(ModelDefinition Model, EnginePlacement Placement, Plan Plan);

    private sealed class Loaded : IDisposable
    {
        private readonly EngineModel _engine;
        private readonly EngineContext _context;

        public Loaded(Case of, CancellationToken cancel)
        {
            _engine = EngineModel.Load(of.Model, of.Placement, of.Plan, null, cancel);
            try { _context = EngineContext.Create(_engine, of.Plan, sharesCells: false, of.Model.Shape.VocabularySize); }
            catch
            {
                _engine.Dispose();
                throw;
            }
        }

        // Always at the same place, so that every pass does the same.
        public void Compute(int tokens, int held)
        {
            _context.Keep(0, held);
            _context.Batch.Clear();
            for (int i = 0; i < tokens; i++) _context.Batch.Add(i % 2, held + i, 0, output: i == tokens - 1);
            _context.Compute();
        }

        public void Dispose()
        {
            _context.Dispose();
            _engine.Dispose();
        }
    }
}
