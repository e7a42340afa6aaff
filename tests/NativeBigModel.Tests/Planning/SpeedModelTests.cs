using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Predictions against arithmetic, and against what was measured on a GPU.</summary>
public class SpeedModelTests
{
    // Speeds at which a byte takes a simple time.
    private static readonly MachineSpeeds s_round = new()
    {
        Measured = true,
        Gpus = [new GpuSpeeds("GPU", 10e9, 10e9, new([new(TensorType.F16, 1000e9, 100e12)], 1, 0))],
        Cpu = new([new(TensorType.F16, 20e9, 1e12)], 1, 0),
        CpuBesideLink = 1,
        LinkBesideCpu = 1,
        DiskBytesPerSecond = 1e9,
    };

    private static readonly ModelShape s_model = Models.Llama(64, 4096, 11008, 32, 32, 32000, TensorType.F16);

    private static readonly long s_layer = s_model.Tensors.Where(tensor => tensor.Layer == 0).Sum(tensor => tensor.Bytes), s_output = s_model.Tensors.Where(tensor => tensor.Name.StartsWith("output", StringComparison.Ordinal)).Sum(tensor => tensor.Bytes);

    [Fact]
    public void A_resident_model_reads_its_weights_once_a_token()
    {
        Prediction gpu = Plan("0=60GiB,cpu=60GiB", OffloadMode.Cpu).Predicted!, cpu = Plan("cpu=60GiB", OffloadMode.Cpu).Predicted!;
        long weights = 64 * s_layer + s_output;
        Near(weights / 1000e9, gpu.DecodeSeconds, 0.03);
        Near(weights / 20e9, cpu.DecodeSeconds, 0.03);
        Assert.Equal((PlanResource.Gpu, PlanResource.Cpu), (gpu.DecodeLimit, cpu.DecodeLimit));
        // Two operations for each weight and token. A CPU waits for the weights, a GPU reads them meanwhile.
        Near(weights / 2 * 2.0 * 512 / 100e12, gpu.PrefillSeconds, 0.02);
        Near(weights / 2 * 2.0 * 512 / 1e12 + weights / 20e9, cpu.PrefillSeconds, 0.02);
    }

    [Fact]
    public void Matrices_layers_and_passes_take_something_whatever_their_size()
    {
        const double matrix = 3e-6, layer = 20e-6, pass = 1e-3, promptMatrix = 10e-6, promptLayer = 300e-6, promptPass = 5e-3;
        MatrixSpeeds slower = s_round.Gpus[0].Matrices with
        {
            Types = [s_round.Gpus[0].Matrices.Types[0] with { StartSeconds = matrix, PromptStartSeconds = promptMatrix }],
            LayerSeconds = layer, PassSeconds = pass, PromptLayerSeconds = promptLayer, PromptPassSeconds = promptPass,
        };
        Prediction before = Plan("0=60GiB,cpu=60GiB", OffloadMode.Cpu).Predicted!;
        Prediction with = Plan("0=60GiB,cpu=60GiB", OffloadMode.Cpu, s_round with { Gpus = [s_round.Gpus[0] with { Matrices = slower }] }).Predicted!;
        // A layer of Llama's has seven matrices, and the output is one.
        Near(64 * (7 * matrix + layer) + matrix + pass, with.DecodeSeconds - before.DecodeSeconds, 0.001);
        Near(64 * (7 * promptMatrix + promptLayer) + promptMatrix + promptPass, with.PrefillSeconds - before.PrefillSeconds, 0.001);
    }

    [Fact]
    public void The_CPU_looks_back_over_a_text_at_a_speed_of_its_own_and_no_further_than_a_window()
    {
        MachineSpeeds slow = s_round with { Cpu = s_round.Cpu with { AttentionFlopsPerSecond = 1e8 } }; // so slow that reading keys and values is hidden in it
        double Token(ModelShape model, MachineSpeeds speeds, string limits) => new SpeedModel(model, speeds).Predict(Planner.Plan(model, new Machine([], 0), new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse(limits), Offload = OffloadMode.Cpu, ComputeBytes = new Dictionary<string, long>() })).DecodeSeconds;
        ModelShape windows = s_model with { Layers = [.. s_model.Layers.Select(layer => layer with { SlidingWindow = 256 })] };
        double full = Token(s_model, slow, "cpu=60GiB"), half = Token(windows, slow, "cpu=60GiB");
        // 512 tokens are held; each of 32 heads multiplies by a key and a value of 128 elements for each.
        double operations = 64.0 * 512 * 32 * 2 * (128 + 128);
        Near(operations / 1e8, full - Token(s_model, s_round, "cpu=60GiB"), 0.01);
        Near(operations / 2 / 1e8, half - Token(windows, s_round, "cpu=60GiB"), 0.01);
        Assert.Equal(Token(s_model, s_round, "0=60GiB,cpu=60GiB"), Token(s_model, slow, "0=60GiB,cpu=60GiB"));
    }

    [Fact]
    public void A_streamed_model_takes_what_the_link_takes_and_from_disk_what_the_disk_takes()
    {
        Plan ram = Plan("0=6GiB,cpu=60GiB", OffloadMode.Stream), disk = Plan("0=6GiB,cpu=60GiB", OffloadMode.Disk);
        long streamed = ram.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);
        Near(streamed / 10e9, ram.Predicted!.DecodeSeconds, 0.03);
        Near(streamed / 1e9, disk.Predicted!.DecodeSeconds, 0.03);
        Assert.Equal((PlanResource.Link, PlanResource.Disk), (ram.Predicted.DecodeLimit, disk.Predicted.DecodeLimit));
    }

    [Fact]
    public void Link_and_CPU_at_once_take_less_than_either_and_no_less_than_both_together()
    {
        const string limits = "0=6GiB,cpu=60GiB";
        double stream = Plan(limits, OffloadMode.Stream).Predicted!.DecodeSeconds, cpu = Plan(limits, OffloadMode.Cpu).Predicted!.DecodeSeconds;
        Plan hybrid = Plan(limits, OffloadMode.Hybrid);
        long beyond = hybrid.Layers.Where(layer => layer.Device == DeviceName.Host && layer.Name != "input").Sum(layer => layer.WeightBytes);
        Assert.InRange(hybrid.Predicted!.DecodeSeconds, beyond / 30e9, Math.Min(stream, cpu) * 0.85);
    }

    [Fact]
    public void The_share_of_the_CPU_follows_from_speeds_and_from_those_of_a_desktop_where_nobody_measured()
    {
        double Share(Machine machine)
        {
            Plan plan = Planner.Plan(s_model, machine, new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=1500MiB,cpu=60GiB"), Offload = OffloadMode.Hybrid });
            LayerPlacement[] beyond = [.. plan.Layers.Where(layer => layer.Device == DeviceName.Host && layer.Name != "input")];
            return (double)beyond.Where(layer => layer.ComputeDevice == DeviceName.Host).Sum(layer => layer.WeightBytes) / beyond.Sum(layer => layer.WeightBytes);
        }
        Assert.InRange(Share(new Machine([], 0)), 0.55, 0.68); // 50 less what the link takes of it, and 24
        Assert.InRange(Share(new Machine([], 0) { Speeds = s_round with { Cpu = new([new(TensorType.F16, 5e9, 1e12)], 1, 0) } }), 0.28, 0.38); // 5 of 15
    }

    [Fact]
    public void Batches_are_the_GPUs_from_as_many_tokens_on_as_the_CPU_multiplies_slower_than_the_link_brings()
    {
        Plan Shared(MachineSpeeds? speeds, int? asked = null, int? batch = null) => Planner.Plan(s_model, new Machine([], 0) { Speeds = speeds }, new()
        {
            ContextLength = 1024, MaxMemory = MemoryLimits.Parse("0=12GiB,cpu=60GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1, SharedBatchSize = asked, BatchSize = batch,
        });
        MachineSpeeds Cpu(double flops) => s_round with { Cpu = new([new(TensorType.F16, 20e9, flops)], 1, 0) };
        // Two operations a token for the two bytes of a weight: 1e12 in the time of 1e10 bytes, half of which the CPU has read by then.
        Assert.InRange(Shared(Cpu(1e12)).SharedBatchSize, 47, 54);
        Assert.InRange(Shared(Cpu(0.5e12)).SharedBatchSize, 23, 28);
        Assert.Equal((512, 64), (Shared(Cpu(1e14)).SharedBatchSize, Shared(Cpu(1e14), batch: 64).SharedBatchSize));
        // What the link brings in a time of 1 the CPU reads in 0.5 and multiplies in 3.2 by 64 tokens.
        double Pass(int from) => new SpeedModel(s_model, Cpu(0.2e12)).Predict(Shared(Cpu(0.2e12), from) with { ContextLength = 64 }).PrefillSeconds;
        Assert.InRange(Pass(65) / Pass(64), 3.5, 3.9);
        Assert.Equal((PlanOptions.UsualSharedBatchSize, 7, PlanOptions.UsualSharedBatchSize), (Shared(null).SharedBatchSize, Shared(s_round, 7).SharedBatchSize, Plan("0=60GiB,cpu=60GiB", OffloadMode.Cpu).SharedBatchSize));
        Assert.Equal("shared batch size 1: a batch has at least 2 tokens", Assert.Throws<InvalidOptionException>(() => Shared(s_round, 1)).Message);
        Plan plan = Shared(s_round, 7);
        Assert.Equal(plan, NativeBigModel.Planning.Plan.FromJson(plan.ToJson()));
        Assert.Contains("shared batch size 0", Assert.Throws<InvalidOptionException>(() => (plan with { SharedBatchSize = 0 }).Verify(s_model)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_timeline_fills_the_token_and_nobody_does_two_things_at_once()
    {
        foreach (OffloadMode mode in (OffloadMode[])[OffloadMode.Stream, OffloadMode.Hybrid, OffloadMode.Cpu])
        {
            Plan plan = Plan("0=3GiB,cpu=60GiB", mode);
            IReadOnlyList<TimelineSegment> token = new SpeedModel(s_model, s_round).DecodeTimeline(plan);
            Assert.All(token, segment => Assert.InRange(segment.End, segment.Start, plan.Predicted!.DecodeSeconds * 1.000001));
            foreach (IGrouping<PlanResource, TimelineSegment> lane in token.GroupBy(segment => segment.Resource))
            {
                TimelineSegment[] ordered = [.. lane.OrderBy(segment => segment.Start)];
                for (int i = 1; i < ordered.Length; i++) Assert.True(ordered[i].Start >= ordered[i - 1].End - 1e-9, $"{mode}: {ordered[i - 1]} and {ordered[i]}");
            }
            long onLink = plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);
            Near(onLink / 10e9, token.Where(segment => segment.Resource == PlanResource.Link).Sum(segment => segment.End - segment.Start), 0.1);
        }
    }

    [Fact]
    public void A_mixture_reads_the_experts_that_a_token_passes_and_streams_all_of_them()
    {
        ModelShape mixture = Models.Llama(8, 1024, 4096, 8, 8, 8000, TensorType.F16, experts: 8, used: 2);
        long experts = mixture.Tensors.Where(tensor => tensor.Name.Contains("_exps", StringComparison.Ordinal)).Sum(tensor => tensor.Bytes), rest = mixture.WeightBytes - experts - mixture.Tensors[0].Bytes;
        Plan resident = Planner.Plan(mixture, new Machine([], 0) { Speeds = s_round }, new() { ContextLength = 4096, MaxMemory = MemoryLimits.Parse("cpu=10GiB") });
        Near((rest + experts / 4.0 + resident.KvBytes / 8.0) / 20e9, resident.Predicted!.DecodeSeconds, 0.03);
        Plan streamed = Planner.Plan(mixture, new Machine([], 0) { Speeds = s_round }, new() { MaxMemory = MemoryLimits.Parse("0=1GiB,cpu=10GiB"), Offload = OffloadMode.Stream });
        Near(streamed.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes) / 10e9, streamed.Predicted!.DecodeSeconds, 0.05);
    }

    [Fact]
    public void The_CPU_alone_has_its_own_layouts_and_beside_a_GPU_or_from_a_ring_it_has_not()
    {
        MachineSpeeds speeds = s_round with { CpuOwnLayouts = new([new(TensorType.F16, 40e9, 3e12)], 1, 0) };
        double Token(string limits, OffloadMode mode, MachineSpeeds by) =>
            Planner.Plan(s_model, new Machine([], 0) { Speeds = by }, new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse(limits), Offload = mode }).Predicted!.DecodeSeconds;
        Near(Token("cpu=60GiB", OffloadMode.Cpu, s_round) / 2, Token("cpu=60GiB", OffloadMode.Cpu, speeds), 0.05);
        foreach ((string limits, OffloadMode mode) in ((string, OffloadMode)[])[("0=6GiB,cpu=60GiB", OffloadMode.Cpu), ("0=6GiB,cpu=60GiB", OffloadMode.Hybrid), ("cpu=4GiB", OffloadMode.Disk)])
            Assert.Equal(Token(limits, mode, s_round), Token(limits, mode, speeds));
    }

    [Theory]
    [InlineData(10e9, 1)]
    [InlineData(5e9, 2)]
    public void Two_links_halve_a_token_unless_they_are_slower_together(double together, double share)
    {
        GpuSpeeds one = s_round.Gpus[0] with { ToDeviceTogether = together };
        MachineSpeeds two = s_round with { Gpus = [one, one] };
        Plan Streamed(int gpus) => Planner.Plan(
            s_model, new Machine([.. Enumerable.Range(0, gpus).Select(i => new GpuDevice($"{i}", "", 80L << 30, 80L << 30))], 64L << 30) { Speeds = two }, new() { ContextLength = 1024, Offload = OffloadMode.Stream });
        Near(share / 2 * Streamed(1).Predicted!.DecodeSeconds, Streamed(2).Predicted!.DecodeSeconds, 0.05);
    }

    [Fact]
    public void A_prompt_beside_a_GPU_brings_it_only_the_experts_that_its_tokens_need()
    {
        ModelShape mixture = Models.Llama(8, 1024, 4096, 8, 8, 8000, TensorType.F16, experts: 64, used: 2);
        Plan plan = Planner.Plan(mixture, new Machine([], 0) { Speeds = s_round }, new() { ContextLength = 32, MaxMemory = MemoryLimits.Parse("0=4GiB,cpu=20GiB") });
        long experts = plan.Layers.Where(layer => layer.Device == DeviceName.Host && layer.Name != "input").Sum(layer => layer.WeightBytes);
        Assert.True(experts > 6e9);
        // 32 tokens of 2 experts each leave (62/64)^32, a third, of 64 untouched.
        Near(experts * (1 - Math.Pow(62 / 64.0, 32)) / 10e9, plan.Predicted!.PrefillSeconds, 0.05);
    }

    [Fact]
    public void A_prompt_that_the_CPUs_part_travels_for_finds_none_of_it_in_the_ring()
    {
        // A batch that the GPU computes at once: what takes time is all that is beyond it, but for the last layer's network, which one token passes.
        MachineSpeeds quick = s_round with { Gpus = [s_round.Gpus[0] with { Matrices = new([new(TensorType.F16, 1e15, 1e18)], 1, 0) }] };
        foreach (int ring in (int[])[1, 3])
        {
            Plan plan = Planner.Plan(s_model, new Machine([], 0) { Speeds = quick }, new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse("0=12GiB,cpu=60GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1, RingLayers = ring, ComputeBytes = Uncounted.Compute });
            long travels = plan.Layers.Where(layer => layer.Device == DeviceName.Host && layer.Name != "input" && layer.Number != 63).Sum(layer => layer.WeightBytes);
            Assert.InRange(plan.Predicted!.PrefillSeconds, travels / 10e9, travels / 10e9 * 1.03);
        }
    }

    [Fact]
    public void Experts_that_few_of_a_prompts_tokens_chose_take_the_time_of_more()
    {
        MachineSpeeds Few(double? share) => s_round with { Gpus = [s_round.Gpus[0] with { Matrices = new([new(TensorType.F16, 1e15, 100e12)], 1, 0) { PromptExpertShare = 1, FewPromptExpertShare = share } }] };
        double Prompt(int experts, int used, double? share) => Planner.Plan(
            Models.Llama(4, 2048, 768, 16, 4, 1000, TensorType.F16, experts: experts, used: used), new Machine([], 0) { Speeds = Few(share) },
            new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse("0=60GiB,cpu=60GiB") }).Predicted!.PrefillSeconds;
        double experts = 4 * 3 * 2048 * 768.0 * 8 * 2 * 512 / 100e12, alone = Prompt(128, 8, null);
        Near(experts * 4, Prompt(128, 8, 0.2) - alone, 0.01); // 32 tokens each, a quarter of 128: a fifth of the speed
        Near(experts * (25 - 1), Prompt(512, 8, 0.2) - Prompt(512, 8, null), 0.01); // a sixteenth of 128: a quarter of a quarter
        Near(Prompt(32, 8, null), Prompt(32, 8, 0.2), 1e-9); // as many as are multiplied by together
        Near(alone, Prompt(128, 8, 1), 1e-9);
    }

    [Fact]
    public void What_the_CPU_computes_for_a_token_comes_for_a_prompt_matrix_by_matrix()
    {
        Plan plan = Planner.Plan(s_model, new Machine([], 0) { Speeds = s_round }, new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse("0=6GiB,cpu=60GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1 });
        var steps = new PassSteps(plan, s_model, s_round, LayerWork.Of(s_model, split: true));
        string[] shared = [.. plan.Layers.Where(FeedForwardPart.IsShared).Select(layer => layer.Name)];
        Assert.NotEmpty(shared);
        ILookup<string, Step> prompt = steps.Of(512, 0, 0, 1).ToLookup(step => step.Item);
        const double bytes = 2.0 * 4096 * 11008;
        // Only the prompt's last token passes the last layer's, and the CPU computes that.
        Assert.Equal("blk.63.ffn", shared[^1]);
        Step last = Assert.Single(prompt[shared[^1]]);
        Assert.Equal((null, PlanResource.Cpu), (last.Group, last.Computes));
        foreach (string part in shared[..^1])
        {
            Assert.Equal(3, prompt[part].Select(step => step.Group).Distinct().Count());
            Assert.All(prompt[part], step => Assert.Equal((bytes, PlanResource.Gpu, PlanResource.Link), (step.Bytes, step.Computes, step.Brings)));
            Assert.All(prompt[part], step => { Near(bytes / 10e9, step.BringSeconds, 1e-6); Near(512 * bytes / 100e12, step.Seconds, 1e-6); });
        }
        Assert.All(plan.Computed.Where(layer => !shared.Contains(layer.Name)), layer => Assert.Single(prompt[layer.Name]));
        Assert.All(steps.Of(1, 0, 0, 1).Where(step => shared.Contains(step.Item)), step => Assert.Equal((null, PlanResource.Cpu), (step.Group, step.Computes)));
    }

    private static Plan Plan(string limits, OffloadMode mode, MachineSpeeds? speeds = null) =>
        Planner.Plan(s_model, new Machine([], 0) { Speeds = speeds ?? s_round }, new() { ContextLength = 1024, MaxMemory = MemoryLimits.Parse(limits), Offload = mode });

    private static void Near(double expected, double actual, double tolerance) => Assert.InRange(actual, expected * (1 - tolerance), expected * (1 + tolerance));
}
