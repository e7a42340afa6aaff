namespace NativeBigModel.Planning;

/// <summary>Says of each item of a plan, in a few words, why it lies where it does.</summary>
internal sealed class PlacementReasons
{
    // Of the time that an item's weights take to come; less is not waiting.
    private const double Waits = 0.05;

    private readonly Plan _plan;
    private readonly ModelShape _model;
    private readonly PlanOptions _options;
    private readonly HashSet<string> _awaited, _linked;
    private readonly bool _hasGpus, _fits;

    private PlacementReasons(Plan plan, ModelShape model, PlanOptions options, SpeedModel speeds)
    {
        (_plan, _model, _options) = (plan, model, options);
        (_hasGpus, _fits) = (plan.Computed.Any(OnGpu), plan.Computed.All(layer => !layer.Streamed && OnGpu(layer)));
        _linked = LinkedExperts.Divided(plan, model);
        _awaited = plan.Streams ? Awaited(speeds.DecodeTimeline(plan)) : [];
    }

    /// <summary>The plan with its reasons.</summary>
    /// <param name="plan">A plan for the model.</param>
    /// <param name="model">The model.</param>
    /// <param name="options">What was asked for.</param>
    /// <param name="speeds">What tells whether a token waits for what is streamed.</param>
    public static Plan Explain(Plan plan, ModelShape model, PlanOptions options, SpeedModel speeds)
    {
        var reasons = new PlacementReasons(plan, model, options, speeds);
        return plan with { Layers = [.. plan.Layers.Select(layer => layer with { Reason = reasons.Of(layer) })] };
    }

    private string Of(LayerPlacement layer)
    {
        if (layer.Name == Item.Input) return "in RAM: a token reads one row of it";
        if (layer.Streamed) return $"streamed{(layer.Device == DeviceName.Disk ? " from disk" : "")}: {Because(layer)}; {(_awaited.Contains(layer.Name) ? "a token waits for it" : "the ring hides it")}";
        if (_linked.Contains(layer.Name)) return OfLinked();
        string place = DeviceName.GpuIndex(layer.ComputeDevice) is { } gpu ? $"rests on GPU {gpu}" : "CPU";
        return $"{place}: {(_options.DeviceMap is not null ? "the device map has it there" : OnGpu(layer) ? OfGpu(layer) : OfCpu(layer))}";
    }

    private string OfGpu(LayerPlacement layer) =>
        _fits ? "everything fits"
        : _plan.SplitsLayers && !layer.IsFeedForward ? "attention goes first, beside its keys and values"
        : _plan.Streams ? "there is room for it; such layers are spread between streamed ones, so that the link never stands still"
        : "GPUs are filled first, in the order of the layers";

    private string OfLinked() => (_plan.LinkedExperts, _model.ExpertUsedCount - _plan.LinkedExperts) switch
    {
        (var all, 0) => $"in RAM: the GPU reads the {all} experts that a token uses over the link",
        var (linked, others) => $"CPU and link: of the {linked + others} experts that a token uses the GPU reads {linked} over the link, and the CPU computes {others}",
    };

    private string OfCpu(LayerPlacement layer) =>
        !_hasGpus ? "no GPU is to be used"
        : !layer.IsFeedForward ? "the GPUs have no room for it"
        : _model.ExpertCount > 0 ? $"balances the link; a token reads {_model.ExpertUsedCount} of {_model.ExpertCount} experts here, and the link would bring all"
        : "balances the link";

    private string Because(LayerPlacement layer) =>
        _options.DeviceMap is not null ? "the device map has it there"
        : _options.MaxMemory is null && _options.Offload is OffloadMode.Stream or OffloadMode.Disk ? "all layers are, as asked"
        : layer.Device != DeviceName.Disk ? "the GPUs have no room for it"
        : _options.Offload == OffloadMode.Disk ? "nothing is to be kept in RAM"
        : "RAM has no room for it";

    private static bool OnGpu(LayerPlacement layer) => DeviceName.GpuIndex(layer.ComputeDevice) is not null;

    // What is computed only a while after the item before it, as its weights were not there yet.
    private HashSet<string> Awaited(IReadOnlyList<TimelineSegment> token)
    {
        // What a link gives to a GPU that reads it is computed at once.
        bool Brings(TimelineSegment segment) => segment.Resource is PlanResource.Link or PlanResource.Disk && !_linked.Contains(segment.Item);
        ILookup<string, TimelineSegment> brought = token.Where(Brings).ToLookup(segment => segment.Item);
        HashSet<string> awaited = [];
        double idleSince = 0;
        foreach (TimelineSegment computed in token.Where(segment => !Brings(segment)).OrderBy(segment => segment.Start))
        {
            if (computed.Start - idleSince > Waits * brought[computed.Item].Sum(segment => segment.End - segment.Start)) awaited.Add(computed.Item);
            idleSince = Math.Max(idleSince, computed.End);
        }
        return awaited;
    }
}
