using System.Collections.Immutable;

namespace NativeBigModel.Planning;

/// <summary>One item of a plan as a pass over the model computes it.</summary>
/// <param name="Item">The item's name.</param>
/// <param name="Computes">Who computes it; the link where a CPU's layer is carried to a GPU for a prompt.</param>
/// <param name="Device">The device that does, through whose ring its weights travel if they do.</param>
/// <param name="Seconds">How long that takes, once the weights are there.</param>
/// <param name="Group">What travels together through the ring, or null where nothing travels.</param>
/// <param name="Bytes">Bytes of that.</param>
/// <param name="Brings">Who brings it.</param>
/// <param name="BringSeconds">How long that takes.</param>
/// <param name="Linked">How the time is divided where a GPU reads some of the item over its link while the CPU computes the rest; null elsewhere.</param>
internal readonly record struct Step(string Item, PlanResource Computes, string Device, double Seconds, string? Group, long Bytes, PlanResource Brings, double BringSeconds, LinkedWork? Linked = null)
{
    /// <summary>Where these bytes lie in the ring.</summary>
    public ImmutableArray<Stretch> Places { get; init; } = [];
}

/// <summary>A link and the CPU at work on the same item, both from the beginning.</summary>
/// <param name="Gpu">The GPU that reads over its link.</param>
/// <param name="LinkSeconds">How long it does.</param>
/// <param name="CpuSeconds">How long the CPU computes, and vectors go there and back; 0 where it has nothing to do.</param>
internal sealed record LinkedWork(string Gpu, double LinkSeconds, double CpuSeconds);

/// <summary>The steps of a pass: what each item of a plan takes, and where its weights come from, for a batch of one size.</summary>
internal sealed class PassSteps(Plan plan, ModelShape model, MachineSpeeds speeds, IReadOnlyDictionary<string, LayerWork> work)
{
    // What a GPU's kernels reach of the speed at which its copy engine empties pinned memory, when they read experts there: 46 to 48 of 54.8 GB/s on an H200 (bench/notes.md).
    private const double ReadOverLink = 0.87;

    // Tokens from which llama.cpp has a GPU compute what rests in host memory (ggml-cuda.cu, GGML_OP_OFFLOAD_MIN_BATCH).
    private const int OffloadedBatchSize = 32;

    private static readonly LayerWork s_nothing = new([], false, []);

    // The device that streamed items are computed on; where there is none and the CPU has a GPU beside it, that GPU helps with prompts.
    private readonly int? _target = plan.Computed.Select(layer => DeviceName.GpuIndex(layer.ComputeDevice)).LastOrDefault(gpu => gpu is not null);

    // Where there is no GPU the CPU keeps weights in layouts of its own, except those that stream.
    private readonly MatrixSpeeds _cpuAtRest = plan.SplitsLayers || plan.Layers.Any(layer => DeviceName.GpuIndex(layer.ComputeDevice) is not null) ? speeds.Cpu : speeds.CpuOwnLayouts ?? speeds.Cpu;

    private readonly RingRoutes _routes = new(plan.Layers);

    // Links that bring from the same disk share it.
    private readonly int _readers = Math.Max(1, plan.Layers.Where(layer => layer.Streamed && layer.Device == DeviceName.Disk).Select(layer => layer.ComputeDevice).Distinct().Count());

    private readonly Dictionary<(LayerWork, MatrixSpeeds, int), double> _seconds = [];

    private readonly Dictionary<(string Device, bool WithShared), RingLayout> _layouts = [];

    private HashSet<string>? _first; // what is in the rings when a token's pass begins

    private double DiskSpeed => speeds.DiskBytesPerSecond / _readers;

    private MatrixSpeeds CpuWhileStreaming => field ??= speeds.CpuWhileStreaming([.. _routes.Devices.Select(DeviceName.GpuIndex).OfType<int>()]);

    /// <summary>Links that bring weights at the same time; 1 where none does.</summary>
    public int Links => Math.Max(1, _routes.Devices.Count);

    /// <summary>Whether the CPU computes parts between those that a GPU computes, while the link brings others.</summary>
    public bool Shares { get; } = plan.Streams && plan.Layers.Any(FeedForwardPart.IsShared);

    /// <summary>Whether a batch of so many tokens has the CPU's part brought to a GPU.</summary>
    public bool BringShared(int tokens) => tokens >= plan.SharedBatchSize && BringsShared;

    // Whether any has.
    private bool BringsShared => plan.Layers.Any(layer => FeedForwardPart.IsShared(layer) && DeviceName.GpuIndex(_routes.Of(layer)!) is not null);

    /// <summary>The steps for a batch of <paramref name="tokens"/> behind <paramref name="held"/> others.</summary>
    /// <param name="tokens">Tokens that are computed together.</param>
    /// <param name="held">Tokens whose keys and values are read.</param>
    /// <param name="linkBusy">The share of the time in which the link takes memory from the CPU, 0 to 1.</param>
    /// <param name="linkLeft">What is left of the link's speed beside the CPU, 0 to 1.</param>
    public List<Step> Of(int tokens, int held, double linkBusy, double linkLeft)
    {
        // What a pass takes beside its layers is before them: its graph, its mask, its tokens' embeddings. A link is at work meanwhile.
        double begins = (_target is { } gpu ? speeds.Gpu(gpu).Matrices : _cpuAtRest).Pass(tokens);
        var steps = new List<Step>(plan.Layers.Length) { new(Item.Input, PlanResource.Cpu, DeviceName.Host, begins, null, 0, default, 0) };
        bool withShared = BringShared(tokens);
        foreach (LayerPlacement layer in plan.Computed)
        {
            // A prompt's last token alone passes the last layer's feed-forward network, and nothing is brought for that.
            int own = FeedForwardPart.IsShared(layer) && layer.Number == model.Layers.Length - 1 && model.Kind == ModelKind.Decoder ? 1 : tokens;
            Step step = Step(layer, own, held, layer.KvBytes * Math.Min(1, (double)held / plan.ContextLength), linkBusy, linkLeft);
            if (step.Group is null) steps.Add(step);
            else if (FeedForwardPart.IsShared(layer)) steps.AddRange(ByMatrix(step).Select(matrix => matrix with { Places = LayoutOf(matrix.Device, withShared).Of(matrix.Group!) }));
            else steps.Add(step with { Places = LayoutOf(step.Device, withShared).Of(step.Item) });
        }
        return steps;
    }

    /// <summary>The steps of a batch that the CPU's part travels for, behind a token: what came ahead for the next token, and has the same place for both, is there.</summary>
    public List<Step> BehindToken(List<Step> pass)
    {
        HashSet<string> there = _first ??= [.. _routes.Devices.SelectMany(device => LayoutOf(device, withShared: false).First())];
        Dictionary<string, List<Stretch>> taken = _routes.Devices.ToDictionary(device => device, _ => new List<Stretch>());
        return [.. pass.Select(step =>
        {
            if (step.Group is null) return step;
            List<Stretch> before = taken[step.Device];
            bool kept = there.Contains(step.Item) && LayoutOf(step.Device, withShared: false).Of(step.Item).SequenceEqual(step.Places) && !step.Places.Any(own => before.Any(own.Overlaps));
            before.AddRange(step.Places);
            return kept ? step with { BringSeconds = 0 } : step;
        })];
    }

    // Where weights lie in a device's ring, in passes that the CPU's part travels for or in others. The first layer that both have lies in one place.
    private RingLayout LayoutOf(string device, bool withShared)
    {
        if (_layouts.TryGetValue((device, withShared), out RingLayout? layout)) return layout;
        LayerPlacement[] passing = [.. plan.Computed.Where(layer => _routes.Of(layer) == device && (withShared || !FeedForwardPart.IsShared(layer)))];
        double start = withShared || passing.Length == 0 || !BringsShared ? 0 : LayoutOf(device, withShared: true).Of(passing[0].Name) is [Stretch first, ..] ? first.From : 0;
        return _layouts[(device, withShared)] = RingLayout.Of([.. passing.SelectMany(Rooms)], plan.Devices.First(one => one.Name == device).RingBytes, start);
    }

    private IEnumerable<(string Step, string Group, IReadOnlyList<long> Tensors)> Rooms(LayerPlacement layer)
    {
        LayerWork item = work.GetValueOrDefault(layer.Name, s_nothing);
        return FeedForwardPart.IsShared(layer) ? item.Rooms.Select((room, number) => ($"{layer.Name}.{number}", $"{layer.Name}.{number}", (IReadOnlyList<long>)[room])) : [(layer.Name, GroupOf(layer), item.Rooms)];
    }

    private static string GroupOf(LayerPlacement layer) => FeedForwardPart.LayerOf(layer.Name) ?? layer.Name;

    // What the CPU computes for a token travels matrix by matrix.
    private IEnumerable<Step> ByMatrix(Step whole)
    {
        IReadOnlyList<LayerWork.Weights> matrices = work.GetValueOrDefault(whole.Item, s_nothing).Matrices;
        double bytes = matrices.Sum(weights => (double)weights.Bytes);
        int number = 0;
        foreach (LayerWork.Weights weights in matrices)
        {
            int count = Math.Max(1, weights.Count);
            double share = weights.Bytes / bytes / count;
            for (int i = 0; i < count; i++)
                yield return whole with { Seconds = whole.Seconds * share, Group = $"{whole.Group}.{number++}", Bytes = weights.Bytes / count, BringSeconds = whole.BringSeconds * share };
        }
    }

    private Step Step(LayerPlacement layer, int tokens, int held, double kvBytes, double linkBusy, double linkLeft)
    {
        LayerWork item = work.GetValueOrDefault(layer.Name, s_nothing);
        bool shared = FeedForwardPart.IsShared(layer), large = tokens >= (shared ? plan.SharedBatchSize : OffloadedBatchSize);
        if (tokens == 1 && shared && plan.LinkedExperts > 0 && item.HasExperts && DeviceName.GpuIndex(_routes.Of(layer)!) is { } reader) return Linked(layer, item, reader);
        int? gpu = DeviceName.GpuIndex(layer.ComputeDevice) ?? (shared && large ? DeviceName.GpuIndex(_routes.Of(layer)!) : null);
        if (gpu is not { } index)
        {
            // llama.cpp copies what rests in host memory to a GPU for a large batch, of experts those that are needed, and then multiplies: one after the other.
            if (large && !layer.Streamed && _target is { } helper)
                return new(layer.Name, PlanResource.Link, DeviceName.Gpu(helper), item.Bytes(ExpertsTouched(tokens)) / speeds.Gpu(helper).ToDevice + Gpu(helper), null, 0, default, 0);
            double seconds = Seconds(item, layer.Streamed ? speeds.Cpu : _cpuAtRest, tokens, kvBytes) + LookingBack(layer, tokens, held, kvBytes);
            // The link takes memory from it.
            if (shared) seconds = speeds.Crossing(DeviceName.GpuIndex(_routes.Of(layer) ?? "") ?? 0) + seconds / (1 - (1 - seconds / Seconds(item, CpuWhileStreaming, tokens, kvBytes)) * linkBusy);
            return new(layer.Name, PlanResource.Cpu, DeviceName.Host, seconds, layer.Streamed ? layer.Name : null, layer.WeightBytes, PlanResource.Disk, BringSeconds(layer));
        }
        double Gpu(int at) => Seconds(item, speeds.Gpu(at).Matrices, tokens, kvBytes, readsMeanwhile: true);
        if (!layer.Streamed && !shared) return new(layer.Name, PlanResource.Gpu, DeviceName.Gpu(index), Gpu(index), null, 0, default, 0);
        string group = shared ? layer.Name : GroupOf(layer);
        double link = LinkTo(index) * linkLeft;
        return new(layer.Name, PlanResource.Gpu, DeviceName.Gpu(index), Gpu(index), group, layer.WeightBytes, layer.Device == DeviceName.Disk ? PlanResource.Disk : PlanResource.Link, layer.WeightBytes / Source(layer.Device, link));
    }

    // A token's experts, of which a GPU reads some over its link. Layers follow each other, so no other link brings experts meanwhile.
    private Step Linked(LayerPlacement layer, LayerWork item, int gpu)
    {
        double used = ExpertsTouched(1), linked = used * plan.LinkedExperts / model.ExpertUsedCount;
        LayerWork rest = plan.LinkedExperts < model.ExpertUsedCount ? item : item.WithoutExperts;
        bool both = rest.Matrices.Count > 0;
        double link = item.LinkedSeconds(speeds.Gpu(gpu).Matrices, linked, LinkTo(gpu) * ReadOverLink * (both ? speeds.LinkBesideCpu : 1));
        double cpu = both ? rest.MatrixSeconds(CpuWhileStreaming, 1, used - linked, used - linked, readsMeanwhile: false) + CpuWhileStreaming.MixtureSeconds : 0, crossing = both ? speeds.Crossing(gpu) : 0;
        return new(layer.Name, PlanResource.Cpu, DeviceName.Host, Math.Max(link, cpu) + crossing + speeds.Gpu(gpu).Matrices.MixtureSeconds, null, 0, default, 0, Linked: new(DeviceName.Gpu(gpu), link, cpu + crossing));
    }

    private double LinkTo(int gpu) => Links > 1 ? speeds.LinkSpeed(gpu) : speeds.Gpu(gpu).ToDevice;

    // A disk is read straight into the CPU's ring. What rests in memory is copied there by the CPU, which reads it, and reads and writes its place.
    private double BringSeconds(LayerPlacement layer) =>
        layer.Device == DeviceName.Disk ? layer.WeightBytes / DiskSpeed : 3 * layer.WeightBytes / speeds.Cpu.Of(TensorType.F16).BytesPerSecond;

    // What one token's attention takes on the CPU beyond reading keys and values. A prompt's is in what it reaches with matrices.
    private double LookingBack(LayerPlacement layer, int tokens, int held, double kvBytes)
    {
        if (tokens > 1 || speeds.Cpu.AttentionFlopsPerSecond is not { } flops || layer.IsFeedForward || ItemName.LayerOf(layer.Name) is not { } number || model.Layers[number] is not { State: null } shape) return 0;
        return Math.Max(0, AttentionWork.Operations(shape, Math.Min(held, shape.SlidingWindow ?? held)) / flops - kvBytes / speeds.Cpu.Types[0].BytesPerSecond);
    }

    private double Seconds(LayerWork item, MatrixSpeeds on, int tokens, double kvBytes, bool readsMeanwhile = false)
    {
        if (!_seconds.TryGetValue((item, on, tokens), out double seconds)) _seconds[(item, on, tokens)] = seconds = item.Seconds(on, tokens, ExpertsTouched(tokens), ExpertsTouched(1), readsMeanwhile);
        return seconds + kvBytes / on.Types[0].BytesPerSecond;
    }

    // The share of a mixture's experts that so many tokens need.
    private double ExpertsTouched(int tokens) => model.ExpertCount > 0 ? 1 - Math.Pow(1 - (double)Math.Max(1, model.ExpertUsedCount) / model.ExpertCount, tokens) : 1;

    private double Source(string device, double link) => device == DeviceName.Disk ? Math.Min(DiskSpeed, link) : link;
}
