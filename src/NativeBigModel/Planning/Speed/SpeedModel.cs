namespace NativeBigModel.Planning;

/// <summary>
/// Predicts what a plan will do: each item takes what its bytes and operations take on the device that computes it, and the ring's passes are played through. Weights that
/// the CPU reads while a link brings others share the memory with them. Copying a prompt's activations, starting the engine and sampling are not counted.
/// </summary>
public sealed class SpeedModel
{
    private const int PromptTokens = 512;
    private const int Rounds = 4; // until CPU and link agree on how much each leaves the other
    private const double Agreed = 1e-3;

    private readonly ModelShape _model;
    private readonly MachineSpeeds _speeds;
    private readonly Lazy<Dictionary<string, LayerWork>> _whole, _split;

    /// <summary>Prepares predictions for plans of one model on one machine.</summary>
    public SpeedModel(ModelShape model, MachineSpeeds speeds)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(speeds);
        (_model, _speeds) = (model, speeds);
        (_whole, _split) = (new(() => LayerWork.Of(model, split: false)), new(() => LayerWork.Of(model, split: true)));
    }

    /// <summary>The speed to expect of a plan for the model.</summary>
    public Prediction Predict(Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        PassSteps steps = Steps(plan);
        int prompt = Math.Min(PromptTokens, plan.ContextLength);
        Pass decode = Play(plan, steps, [1], prompt), prefill = Play(plan, steps, Batches(prompt, plan.BatchSize), prompt / 2);
        long read = plan.Layers.Where(layer => layer.Device != DeviceName.Disk).Sum(layer => layer.WeightBytes);
        return new(_speeds.Measured && plan.Layers.All(layer => DeviceName.GpuIndex(layer.ComputeDevice) is not { } gpu || gpu < _speeds.Gpus.Length), read / _speeds.DiskBytesPerSecond, prompt, prefill.Seconds, prefill.Limit, decode.Seconds, decode.Limit);
    }

    /// <summary>The seconds of <see cref="Prediction.DecodeSeconds"/>.</summary>
    internal double TokenSeconds(Plan plan) => Play(plan, Steps(plan), [1], Math.Min(PromptTokens, plan.ContextLength)).Seconds;

    /// <summary>What is at work while one token is computed, in the middle of a text.</summary>
    public IReadOnlyList<TimelineSegment> DecodeTimeline(Plan plan)
    {
        ArgumentNullException.ThrowIfNull(plan);
        return Play(plan, Steps(plan), [1], Math.Min(PromptTokens, plan.ContextLength), keepsTimeline: true).Timeline;
    }

    /// <summary>The least tokens of a batch that is faster with all of it on the GPUs than with the CPU's part there; <see cref="PlanOptions.UsualSharedBatchSize"/> where the CPU has none.</summary>
    internal int SharedBatchSize(Plan plan)
    {
        int least = 2, most = Math.Min(PromptTokens, plan.BatchSize);
        if (!plan.Layers.Any(FeedForwardPart.IsShared) || !plan.Devices.Any(device => DeviceName.GpuIndex(device.Name) is not null && device.RingBytes > 0) || most < least) return PlanOptions.UsualSharedBatchSize;
        PassSteps divided = Steps(plan with { SharedBatchSize = int.MaxValue }), streamed = Steps(plan with { SharedBatchSize = least });
        int held = Math.Min(PromptTokens, plan.ContextLength);
        while (least < most)
        {
            int tokens = (least + most) / 2;
            if (Play(plan, streamed, [tokens], held).Seconds < Play(plan, divided, [tokens], held).Seconds) most = tokens;
            else least = tokens + 1;
        }
        return least;
    }

    /// <summary>Names of the parts that link and CPU divide.</summary>
    internal HashSet<string> Divided(Plan plan) => LinkedExperts.Divided(plan, _model);

    /// <summary>The share of a hybrid plan's bytes that the CPU computes in the time in which the link brings the rest.</summary>
    /// <param name="gpus">The GPUs whose links bring it.</param>
    internal double BalancedCpuShare(IReadOnlyCollection<int> gpus)
    {
        double used = _model.ExpertCount > 0 ? (double)Math.Max(1, _model.ExpertUsedCount) / _model.ExpertCount : 1;
        LayerWork[] parts = [.. _split.Value.Where(item => FeedForwardPart.Is(item.Key)).Select(item => item.Value)];
        MatrixSpeeds beside = _speeds.CpuWhileStreaming(gpus);
        double bytes = parts.Sum(part => part.Matrices.Sum(weights => (double)weights.Bytes));
        if (bytes == 0) return 0;
        double cpu = (parts.Sum(part => part.Seconds(beside, 1, used, used, readsMeanwhile: false)) + parts.Length * gpus.Average(_speeds.Crossing)) / bytes, link = 1 / (gpus.Sum(gpu => gpus.Count > 1 ? _speeds.LinkSpeed(gpu) : _speeds.Gpu(gpu).ToDevice) * _speeds.LinkBesideCpu);
        return link / (link + cpu);
    }

    /// <summary>Bytes per second at which a GPU reads weights for a token.</summary>
    internal double ReadSpeed(int gpu) => _speeds.Gpu(gpu).Matrices.Types[0].BytesPerSecond;

    /// <summary>Bytes per second from host memory to a device while every other link is at work.</summary>
    internal double LinkSpeed(string device) => DeviceName.GpuIndex(device) is { } gpu ? _speeds.LinkSpeed(gpu) : _speeds.DiskBytesPerSecond;

    private PassSteps Steps(Plan plan) => new(plan, _model, _speeds, plan.SplitsLayers ? _split.Value : _whole.Value);

    private Pass Play(Plan plan, PassSteps steps, int[] batches, int held, bool keepsTimeline = false)
    {
        double linkBusy = steps.Shares ? 1 : 0, linkLeft = steps.Shares ? _speeds.LinkBesideCpu : 1;
        Pass pass = PlayOnce(steps, batches, held, linkBusy, linkLeft, keepsTimeline);
        for (int round = 1; round < Rounds && steps.Shares; round++)
        {
            (double busy, double left) = (pass.Busy(PlanResource.Link) / pass.Seconds / steps.Links, 1 - (1 - _speeds.LinkBesideCpu) * pass.Busy(PlanResource.Cpu) / pass.Seconds);
            if (Math.Abs(busy - linkBusy) + Math.Abs(left - linkLeft) < Agreed) break;
            (linkBusy, linkLeft) = (busy, left);
            pass = PlayOnce(steps, batches, held, linkBusy, linkLeft, keepsTimeline);
        }
        return pass;
    }

    // The ring is full when a pass begins: it went on with the first groups while the pass before ended. What it brings for the next pass belongs to this one's time. Only a batch that the CPU's
    // part travels for begins with little: what came ahead has the places of a token's groups.
    private static Pass PlayOnce(PassSteps steps, int[] batches, int held, double linkBusy, double linkLeft, bool keepsTimeline)
    {
        List<List<Step>> passes = [.. batches.Select(tokens => steps.Of(tokens, held, linkBusy, linkLeft))];
        var ring = new RingSimulation(keepsTimeline);
        bool follows = !steps.BringShared(batches[0]);
        if (!follows) passes[0] = steps.BehindToken(passes[0]);
        for (int i = 0; i < 2 && follows; i++) ring.Run(passes[^1]);
        double start = ring.Now;
        ring.Begin();
        foreach (List<Step> pass in passes) ring.Run(pass);
        double end = ring.Now;
        ring.End();
        if (follows) ring.Run(passes[0]);
        return new(end - start, ring.Busy, ring.Timeline);
    }

    private static int[] Batches(int tokens, int batch) => [.. Enumerable.Repeat(batch, tokens / batch), .. tokens % batch > 0 ? [tokens % batch] : Array.Empty<int>()];

    private sealed record Pass(double Seconds, IReadOnlyDictionary<(PlanResource Resource, string Link), double> Work, IReadOnlyList<TimelineSegment> Timeline)
    {
        // GPUs compute in turn, and links are at work at once.
        public PlanResource Limit => Work.Count == 0 ? PlanResource.Gpu : Work.MaxBy(one => one.Value).Key.Resource;

        public double Busy(PlanResource resource) => Work.Where(one => one.Key.Resource == resource).Sum(one => one.Value);
    }
}
