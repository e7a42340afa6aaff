using System.Collections.Immutable;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime.Calibration;

/// <summary>
/// What a layer takes beside its matrices, a pass beside its layers, and a vector on its way to another device: the engine computes small models, and what their matrices
/// take, by speeds that were measured before, is taken off.
/// </summary>
internal static class LayerBench
{
    private const int Width = 4096, LeastWidth = 512, LeastInner = 256;
    private const int Few = 1, Many = 5;
    private const int SmallExpert = 8; // of the stream's width, what an expert has
    private static readonly (int Count, int Used) s_experts = (32, 8);
    private const int HostWidth = 1024, HostLayers = 16; // narrow, so that their matrices weigh little, and more than caches hold
    private const int CrossingLayers = 32, CrossingWidth = 2048, CrossingInner = 2048; // as wide as models are, with networks that together are more than a server's caches hold
    private const int Larger = 2; // how many times so large are others, which take the CPU so much longer as it is fast in the same moments
    private const int ShortText = 16, LongText = 512;
    private const int Warmups = 2; // compile kernels and record graphs
    private const double Undisturbed = 0.1; // of the times of two models that are compared: what disturbs one and not the other would be taken for its layers
    private static readonly TimeSpan s_longestPass = TimeSpan.FromSeconds(0.1); // of all layers; narrower ones are taken on a device that would need more

    /// <summary>
    /// The speeds of a CPU, with what a layer takes for one token beside its matrices and how fast it looks back over a text: what a pass takes beside is lost in it, and a prompt's
    /// matrices take all of the time.
    /// </summary>
    /// <param name="speeds">How fast it multiplies.</param>
    /// <param name="threads">Its threads.</param>
    /// <param name="freeBytes">Memory, of which less than a quarter is taken.</param>
    /// <param name="budget">About how long it is computed behind each of two texts.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static MatrixSpeeds OfHost(MatrixSpeeds speeds, int threads, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        const TensorType type = TensorType.F16;
        ModelDefinition model = LayerModel.Of(HostLayers, HostWidth, type);
        if (model.Shape.WeightBytes > freeBytes / 4) return speeds;
        double[] layer = [.. Run(0, model, threads, freeBytes, [(1, ShortText), (1, LongText)], budget, cancel).Select(seconds => seconds / HostLayers)];
        (double early, double late) = (layer[0], layer[1]);
        double operations = AttentionWork.Operations(model.Shape.Layers[0], LongText - ShortText);
        return speeds with { LayerSeconds = Math.Max(0, early - Matrices(model, speeds, 1)), AttentionFlopsPerSecond = late > early ? operations / (late - early) : null };
    }

    /// <summary>The speeds of a GPU, with what a layer, a mixture's layer and a pass take for one token and for a prompt. As they were where it is too slow, or there is no memory for it.</summary>
    /// <param name="gpu">A ggml_backend_dev_t.</param>
    /// <param name="speeds">How fast it multiplies.</param>
    /// <param name="freeBytes">Of its memory, of which less than a quarter is taken.</param>
    /// <param name="budget">About how long two models are computed; a third takes half as long.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static MatrixSpeeds OfGpu(nint gpu, MatrixSpeeds speeds, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        const TensorType type = TensorType.Q4_0;
        (int Tokens, int Held)[] passes = [(1, LongText), (MatrixSpeeds.PromptTokens, 0)];
        if (Fitting(speeds, type, freeBytes) is not { } width) return speeds;
        ModelDefinition small = LayerModel.Of(Few, width, type), large = LayerModel.Of(Many, width, type);
        double[] few = Run(gpu, small, 1, freeBytes, passes, budget / 2, cancel, Undisturbed), many = Run(gpu, large, 1, freeBytes, passes, budget / 2, cancel, Undisturbed);
        // Machines that others use give times that contradict each other: nothing takes less than no time.
        double[] each = [.. few.Zip(many, (one, other) => Math.Max(0, other - one) / (Many - Few))], layers = [.. each.Zip(passes, (seconds, pass) => Math.Max(0, seconds - Matrices(small, speeds, pass.Tokens)))];
        double[] beside = [.. few.Zip(each, (one, layer) => Math.Max(0, one - Few * layer))];
        ModelDefinition mixture = LayerModel.Of(Many, width, type, Math.Max(LeastInner, width / SmallExpert), s_experts);
        double[] mixed = Run(gpu, mixture, 1, freeBytes, passes, budget / 2, cancel, Undisturbed), more = [.. mixed.Select((seconds, i) => Math.Max(0, (seconds - beside[i]) / Many - layers[i] - Matrices(mixture, speeds, passes[i].Tokens)))];
        return speeds with
        {
            LayerSeconds = layers[0], PassSeconds = beside[0], MixtureSeconds = more[0], PromptLayerSeconds = layers[1], PromptPassSeconds = beside[1], PromptMixtureSeconds = more[1],
        };
    }

    /// <summary>
    /// The seconds that a vector takes on its way from a GPU to the CPU and back: a small model with its feed-forward networks on the CPU, less the same with all of it on the GPU and what
    /// the networks' matrices take there more, by what larger ones take. Null where the plug-in is missing, or there is no memory for it.
    /// </summary>
    /// <param name="gpu">A ggml_backend_dev_t.</param>
    /// <param name="speeds">The machine's, of which the first GPU is this one, so far without this time.</param>
    /// <param name="freeBytes">Host memory, of which less than a quarter is taken; of the GPU's little more than a half of what is free.</param>
    /// <param name="budget">About how long both are computed.</param>
    /// <param name="cancel">Stops it within a pass.</param>
    public static double? Crossing(nint gpu, MachineSpeeds speeds, long freeBytes, TimeSpan budget, CancellationToken cancel)
    {
        ModelDefinition[] models = [.. ((int[])[1, Larger]).Select(times => LayerModel.Of(CrossingLayers, CrossingWidth, TensorType.Q4_0, CrossingInner * times))];
        ModelShape shape = models[0].Shape;
        if (StreamingLibrary.FilePath is null || models.Sum(model => model.Shape.WeightBytes) > Math.Min(freeBytes / 4, EngineDevices.Describe(gpu).FreeBytes / 2)) return null;
        Plan whole = Planned(models[0], gpus: [long.MaxValue / 4], freeBytes, 1, new());
        Plan[] divided = [.. models.Select(model => Divided(model, freeBytes, speeds.ThreadsBesideLink ?? 1))];
        int crossings = divided[0].Layers.Count(FeedForwardPart.IsShared);
        if (crossings == 0 || divided[1].Layers.Count(FeedForwardPart.IsShared) != crossings) return null;
        double[] both = RunInTurn([.. models.Zip(divided, (model, plan) => (model, EnginePlacement.Of(plan, model.Shape.Tensors, [gpu]), plan))], budget, cancel);
        double onGpu = Run(models[0], EnginePlacement.WhollyOn(gpu, whole), whole, [(1, ShortText)], budget / 2, cancel)[0];
        LayerWork network = LayerWork.Of(shape, split: true)[FeedForwardPart.Of(0)];
        double reading = (both[1] - both[0]) / crossings / (Larger - 1), starts = network.Tensors * speeds.Cpu.Of(TensorType.Q4_0).StartSeconds;
        return Math.Max(0, (both[0] - onGpu) / crossings - (reading + starts - network.MatrixSeconds(speeds.Gpus[0].Matrices, 1, 1, 1, readsMeanwhile: true)));
    }

    // What is left for feed-forward networks holds none but those that pass through the ring.
    private static Plan Divided(ModelDefinition model, long freeBytes, int threads)
    {
        Plan whole = Planned(model, gpus: [long.MaxValue / 4], freeBytes, 1, new());
        long apart = model.Shape.Tensors.Where(FeedForwardPart.Holds).Sum(tensor => tensor.Bytes);
        return Planned(model, gpus: [whole.Devices.First(device => device.Name == DeviceName.Gpu(0)).TotalBytes - apart + apart / CrossingLayers], freeBytes, threads, new() { Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = 1 });
    }

    private static double Matrices(ModelDefinition model, MatrixSpeeds speeds, int tokens) => LayerWork.Of(model.Shape, split: false)["blk.0"].MatrixSeconds(speeds, tokens, UsedShare(model), UsedShare(model), readsMeanwhile: true);

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

    private static double[] Run(nint gpu, ModelDefinition model, int threads, long freeBytes, (int Tokens, int Held)[] passes, TimeSpan budget, CancellationToken cancel, double share = 0.5)
    {
        Plan plan = Planned(model, gpu == 0 ? [] : [freeBytes], freeBytes, threads, new());
        return Run(model, gpu == 0 ? EnginePlacement.Of(plan, model.Shape.Tensors) : EnginePlacement.WhollyOn(gpu, plan), plan, passes, budget, cancel, share);
    }

    // Seconds of passes of so many tokens behind a text of so many others, each computed for about so long.
    private static double[] Run(ModelDefinition model, EnginePlacement placement, Plan plan, (int Tokens, int Held)[] passes, TimeSpan budget, CancellationToken cancel, double share = 0.5)
    {
        using NativeLog.Silence _ = NativeLog.Silenced();
        using var loaded = new Loaded(model, placement, plan, cancel);
        return [.. passes.Select(pass =>
        {
            loaded.Hold(pass.Held);
            return TypicalTime.Of(() => Compute(loaded.Context, pass.Tokens, pass.Held), Warmups, least: 3, budget, cancel, share);
        })];
    }

    // Seconds of a token of each, computed in turn.
    private static double[] RunInTurn((ModelDefinition Model, EnginePlacement Placement, Plan Plan)[] models, TimeSpan budget, CancellationToken cancel)
    {
        using NativeLog.Silence _ = NativeLog.Silenced();
        var loaded = new List<Loaded>();
        try
        {
            foreach ((ModelDefinition model, EnginePlacement placement, Plan plan) in models)
            {
                loaded.Add(new(model, placement, plan, cancel));
                loaded[^1].Hold(ShortText);
            }
            return TypicalTime.InTurn([.. loaded.Select<Loaded, Action>(one => () => Compute(one.Context, 1, ShortText))], Warmups, least: 3, budget, cancel);
        }
        finally
        {
            foreach (Loaded one in loaded) one.Dispose();
        }
    }

    // Always at the same place, so that every pass does the same.
    private static void Compute(EngineContext context, int tokens, int held)
    {
        context.Keep(0, held);
        context.Batch.Clear();
        for (int i = 0; i < tokens; i++) context.Batch.Add(i % 2, held + i, 0, output: i == tokens - 1);
        context.Compute();
    }

    private sealed class Loaded : IDisposable
    {
        private readonly EngineModel _engine;

        public Loaded(ModelDefinition model, EnginePlacement placement, Plan plan, CancellationToken cancel)
        {
            _engine = EngineModel.Load(model, placement, plan, null, cancel);
            try { Context = EngineContext.Create(_engine, plan, sharesCells: false, model.Shape.VocabularySize); }
            catch
            {
                _engine.Dispose();
                throw;
            }
        }

        public EngineContext Context { get; }

        public void Hold(int tokens)
        {
            if (tokens > 0) Compute(Context, tokens, 0);
        }

        public void Dispose()
        {
            Context.Dispose();
            _engine.Dispose();
        }
    }
}
