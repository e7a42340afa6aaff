using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;
using NativeBigModel.Planning.Exports;

namespace NativeBigModel.Tests.Planning;

/// <summary>Experts of a token that a GPU reads over its link while the CPU computes the others, against arithmetic.</summary>
public class LinkedExpertTests
{
    private const double Link = 55e9, ReadOverLink = 0.87;
    private const double Expert = 3.0 * 4096 * 14336 / 32 * 18; // bytes of one in a layer: three matrices in blocks of 32

    private static readonly ModelShape s_mixtral = Models.Llama(32, 4096, 14336, 32, 8, 32000, TensorType.Q4_0, experts: 8, used: 2), s_dense = Models.Llama(8, 1024, 4096, 8, 8, 8000, TensorType.F16);

    // Many small ones.
    private static readonly ModelShape s_fine = Models.Llama(8, 2048, 1344, 16, 16, 32000, TensorType.F16, experts: 64, used: 8);

    [Fact]
    public void A_link_nearly_as_fast_as_the_CPU_takes_one_of_two_experts()
    {
        Plan plan = Mixtral(Machine(Speeds(Link, 60e9)), new());
        Assert.Equal(1, plan.LinkedExperts);
        Assert.DoesNotContain(plan.Layers, layer => layer.Streamed);
        int parts = plan.Layers.Count(FeedForwardPart.IsShared);
        Assert.InRange(parts, 20, 32);
        Near(parts * Expert / (Link * ReadOverLink), plan.Predicted!.DecodeSeconds);
        Assert.Equal(PlanResource.Link, plan.Predicted.DecodeLimit);
        // The CPU, where the link is twice as fast.
        Prediction fast = Mixtral(Machine(Speeds(2 * Link, 60e9)), new() { LinkedExperts = 1 }).Predicted!;
        Near(parts * Expert / 60e9, fast.DecodeSeconds);
        Assert.Equal(PlanResource.Cpu, fast.DecodeLimit);
    }

    [Fact]
    public void All_over_the_link_leave_the_CPU_nothing_to_do()
    {
        MachineSpeeds speeds = Speeds(Link, 60e9) with { LinkBesideCpu = 0.5 };
        Plan plan = Mixtral(Machine(speeds), new() { LinkedExperts = 2 });
        Near(plan.Layers.Count(FeedForwardPart.IsShared) * 2 * Expert / (Link * ReadOverLink), plan.Predicted!.DecodeSeconds);
        Assert.DoesNotContain(new SpeedModel(s_mixtral, speeds).DecodeTimeline(plan), segment => segment.Resource == PlanResource.Cpu);
    }

    [Fact]
    public void Link_and_CPU_slow_each_other_down_and_a_vector_crosses_only_where_both_are_at_work()
    {
        const double crossing = 1e-3;
        MachineSpeeds alone = Speeds(Link, 60e9);
        double Token(int linked, MachineSpeeds speeds) => Mixtral(Machine(speeds), new() { LinkedExperts = linked }).Predicted!.DecodeSeconds;
        int parts = Mixtral(Machine(alone), new()).Layers.Count(FeedForwardPart.IsShared);
        MachineSpeeds crossed = alone with { Gpus = [alone.Gpus[0] with { CrossingSeconds = crossing }] };
        Near(parts * crossing, Token(1, crossed) - Token(1, alone));
        Near(Token(2, alone), Token(2, crossed));
        Near(parts * Expert / (Link * ReadOverLink * 0.8), Token(1, alone with { LinkBesideCpu = 0.8 }));
        Near(parts * Expert / 30e9, Token(1, alone with { CpuBesideLink = 0.5 }));
    }

    [Theory]
    [InlineData(5, 200, 0)]
    [InlineData(20, 60, 2)] // 2/17.4 and 6/60
    [InlineData(30, 60, 2)] // 2/26.1 and 6/60; 3/26.1 is more
    [InlineData(40, 60, 3)] // 3/34.8 and 5/60
    [InlineData(60, 60, 4)]
    [InlineData(200, 5, 8)]
    public void The_number_is_the_one_with_the_least_time_for_a_token(double link, double cpu, int linked)
    {
        double Time(int k) => Math.Max(k / (link * ReadOverLink), (8 - k) / cpu);
        Assert.Equal(Enumerable.Range(0, 9).MinBy(Time), linked);
        Plan Fine(int? asked) => Planner.Plan(s_fine, Machine(Speeds(link * 1e9, cpu * 1e9)), Within("0=2GiB,cpu=60GiB") with { CpuShare = 1, LinkedExperts = asked });
        Plan chosen = Fine(null);
        Assert.Equal(linked, chosen.LinkedExperts);
        for (int k = 0; k <= 8; k++) Assert.True(chosen.Predicted!.DecodeSeconds <= Fine(k).Predicted!.DecodeSeconds * 1.000001, $"{k}: {Fine(k).Predicted}");
    }

    [Fact]
    public void It_is_chosen_only_where_every_GPU_reads_host_memory_and_obeyed_everywhere()
    {
        MachineSpeeds speeds = Speeds(Link, 60e9), two = speeds with { Gpus = [speeds.Gpus[0], speeds.Gpus[0]] };
        GpuDevice reads = Gpu(true), cannot = Gpu(false);
        Machine With(params GpuDevice[] gpus) => new([.. gpus], 64L << 30) { Speeds = two };
        int Chosen(Machine machine, string limits, int? asked = null) => Planner.Plan(s_mixtral, machine, Within(limits) with { LinkedExperts = asked }).LinkedExperts;
        const string one = "0=6GiB,cpu=60GiB", both = "0=4GiB,1=4GiB,cpu=60GiB";
        Assert.Equal((1, 0, 0), (Chosen(With(reads), one), Chosen(With(cannot), one), Chosen(new([], 0) { Speeds = two }, one)));
        Assert.Equal((1, 0, 0), (Chosen(With(reads, reads), both), Chosen(With(reads, cannot), both), Chosen(With(reads), both)));
        Assert.Equal((1, 2, 0), (Chosen(With(cannot), one, 1), Chosen(With(cannot, cannot), both, 2), Chosen(With(reads), one, 0)));
        // A GPU that is not among the limits decides nothing.
        Assert.Equal(1, Chosen(With(reads, cannot), one));
    }

    [Fact]
    public void Without_a_GPU_it_is_obeyed_and_the_CPU_computes_all()
    {
        Plan Streamed(int linked) => Planner.Plan(s_mixtral, new Machine([], 60L << 30) { Speeds = Speeds(Link, 60e9) }, new() { ContextLength = 512, Offload = OffloadMode.Hybrid, CpuShare = 1, LinkedExperts = linked });
        Plan plan = Streamed(1);
        plan.Verify(s_mixtral);
        Assert.Equal((1, 32), (plan.LinkedExperts, plan.Layers.Count(FeedForwardPart.IsShared)));
        Assert.Equal(Streamed(0).Predicted, plan.Predicted);
    }

    [Fact]
    public void Nothing_divided_is_nothing_linked()
    {
        foreach (PlanOptions options in (PlanOptions[])[Within("0=40GiB,cpu=60GiB"), Within("0=6GiB,cpu=60GiB") with { CpuShare = 0 }, Within("0=6GiB,cpu=60GiB") with { Offload = OffloadMode.Cpu }])
            foreach (int? asked in (int?[])[null, 1])
                Assert.Equal(0, Planner.Plan(s_mixtral, Machine(Speeds(Link, 60e9)), options with { LinkedExperts = asked }).LinkedExperts);
    }

    [Fact]
    public void A_streamed_mixture_brings_a_token_s_own_experts_where_the_GPU_reads_host_memory()
    {
        MachineSpeeds speeds = Speeds(Link, 60e9);
        Plan Streamed(ModelShape model, Machine machine, int? asked) => Planner.Plan(model, machine, Within("0=6GiB,cpu=60GiB") with { Offload = OffloadMode.Stream, LinkedExperts = asked });
        Plan linked = Streamed(s_mixtral, Machine(speeds), null), whole = Streamed(s_mixtral, Machine(speeds), 0);
        Assert.Equal((2, 0), (linked.LinkedExperts, whole.LinkedExperts));
        Near(linked.Layers.Count(FeedForwardPart.IsShared) * 2 * Expert / (Link * ReadOverLink), linked.Predicted!.DecodeSeconds);
        Assert.InRange(whole.Predicted!.DecodeSeconds / linked.Predicted.DecodeSeconds, 3, 4.2); // 8 of 8 experts, and not 2, less what the kernels read slower
        linked.Verify(s_mixtral);
        Assert.Equal(0, Streamed(s_mixtral, new Machine([Gpu(false)], 0) { Speeds = speeds }, null).LinkedExperts);
        Assert.Equal(0, Planner.Plan(s_dense, Machine(speeds), Within("0=100MiB,cpu=60GiB") with { Offload = OffloadMode.Stream }).LinkedExperts);
    }

    [Fact]
    public void Experts_do_not_stream_for_tokens_unless_a_share_of_the_CPU_was_asked_for()
    {
        foreach (int linked in (int[])[1, 2])
        {
            Assert.DoesNotContain(Mixtral(Machine(Speeds(Link, 60e9)), new() { LinkedExperts = linked }).Layers, layer => layer.Streamed);
            Plan half = Mixtral(Machine(Speeds(Link, 60e9)), new() { LinkedExperts = linked, CpuShare = 0.5 });
            LayerPlacement[] beyond = [.. half.Layers.Where(layer => layer is { Device: DeviceName.Host, IsFeedForward: true })];
            Assert.Equal(linked, half.LinkedExperts);
            Assert.InRange(beyond.Count(FeedForwardPart.IsShared), beyond.Length * 0.45, beyond.Length * 0.55);
        }
    }

    [Fact]
    public void It_is_for_passes_of_one_token()
    {
        MachineSpeeds speeds = Speeds(Link, 60e9);
        Plan with = Mixtral(Machine(speeds), new() { LinkedExperts = 1 }), without = with with { LinkedExperts = 0 };
        List<Step> Steps(Plan plan, int tokens) => new PassSteps(plan, s_mixtral, speeds, LayerWork.Of(s_mixtral, split: true)).Of(tokens, 0, 0, 1);
        // A prompt's last token alone passes the last layer's experts.
        (Step, string)[] Below(Plan plan, int tokens) => [.. Steps(plan, tokens).Where(step => step.Item != "blk.31.ffn").Select(step => (step with { Places = [] }, string.Join(' ', step.Places)))];
        foreach (int tokens in (int[])[2, 31, 32, 512]) Assert.Equal(Below(without, tokens), Below(with, tokens));
        Assert.Equal(with.Layers.Count(FeedForwardPart.IsShared), Steps(with, 1).Count(step => step.Linked is not null));
    }

    [Fact]
    public void A_mixture_s_layers_take_more_than_others_wherever_their_experts_are()
    {
        const double more = 50e-6;
        MachineSpeeds before = Speeds(Link, 60e9), with = before with { Gpus = [before.Gpus[0] with { Matrices = before.Gpus[0].Matrices with { MixtureSeconds = more } }] };
        double Token(MachineSpeeds speeds, int linked) => Mixtral(Machine(speeds), new() { LinkedExperts = linked, CpuShare = 1 }).Predicted!.DecodeSeconds;
        foreach (int linked in (int[])[1, 2]) Assert.Equal(32 * more, Token(with, linked) - Token(before, linked), 9);
        // Those alone that the GPU computes, where nothing is linked.
        Assert.Equal((32 - Mixtral(Machine(with), new() { LinkedExperts = 0, CpuShare = 1 }).Layers.Count(FeedForwardPart.IsShared)) * more, Token(with, 0) - Token(before, 0), 9);
        Plan Dense(MachineSpeeds speeds) => Planner.Plan(s_dense, Machine(speeds), Within("0=2GiB,cpu=8GiB"));
        Assert.Equal(Dense(before).Predicted, Dense(with).Predicted);
    }

    [Fact]
    public void A_link_serves_a_ring_and_a_GPU_that_reads_host_memory_in_turn()
    {
        MachineSpeeds speeds = Speeds(Link, 60e9);
        Plan plan = Mixtral(Machine(speeds), new() { LinkedExperts = 1, CpuShare = 0.5 });
        IReadOnlyList<TimelineSegment> token = new SpeedModel(s_mixtral, speeds).DecodeTimeline(plan);
        TimelineSegment[] link = [.. token.Where(segment => segment.Resource == PlanResource.Link).OrderBy(segment => segment.Start)];
        for (int i = 1; i < link.Length; i++) Assert.True(link[i].Start >= link[i - 1].End - 1e-9, $"{link[i - 1]} and {link[i]}");
        Assert.All(token, segment => Assert.InRange(segment.End, segment.Start, plan.Predicted!.DecodeSeconds * 1.000001));
        double linked = plan.Layers.Count(FeedForwardPart.IsShared) * Expert / (Link * ReadOverLink), streamed = plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes) / Link;
        Near(linked + streamed, link.Sum(segment => segment.End - segment.Start), 0.02);
        Assert.True(plan.Predicted!.DecodeSeconds >= (linked + streamed) * 0.99);
    }

    [Fact]
    public void Reading_over_the_link_is_not_waiting_for_it()
    {
        // A GPU so slow that a ring brings everything meanwhile.
        MachineSpeeds speeds = Speeds(Link, 60e9);
        Plan plan = Mixtral(Machine(speeds with { Gpus = [speeds.Gpus[0] with { Matrices = new([new(TensorType.F16, 1e9, 1e15)], 1, 0) }] }), new() { LinkedExperts = 2, CpuShare = 0.5 });
        string[] reasons = [.. plan.Layers.Where(layer => layer.Streamed).Select(layer => layer.Reason)];
        Assert.NotEmpty(reasons);
        Assert.All(reasons, reason => Assert.EndsWith("the ring hides it", reason, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(3)]
    public void More_experts_than_a_token_uses_are_refused_with_both_numbers(int linked)
    {
        foreach (Func<object> act in (Func<object>[])[() => Mixtral(Machine(Speeds(Link, 60e9)), new() { LinkedExperts = linked }), () => Planner.Plan(s_mixtral, new Machine([], 60L << 30), new() { LinkedExperts = linked })])
            Assert.StartsWith($"{linked} linked experts: a token uses 2 of", Assert.Throws<InvalidOptionException>(act).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_dense_model_has_none()
    {
        Assert.StartsWith("1 linked experts: a token uses 0 of", Assert.Throws<InvalidOptionException>(() => Planner.Plan(s_dense, new Machine([], 8L << 30), new() { LinkedExperts = 1 })).Message, StringComparison.Ordinal);
        Assert.Equal(0, Planner.Plan(s_dense, Machine(Speeds(Link, 60e9)), Within("0=200MiB,cpu=8GiB") with { LinkedExperts = 0 }).LinkedExperts);
        Assert.Equal(0, Planner.Plan(s_dense, Machine(Speeds(Link, 60e9)), Within("0=200MiB,cpu=8GiB")).LinkedExperts);
    }

    [Fact]
    public void A_plan_keeps_it_in_its_file_and_an_edited_number_is_refused()
    {
        Plan plan = Mixtral(Machine(Speeds(Link, 60e9)), new());
        Assert.Equal(plan, Plan.FromJson(plan.ToJson()));
        plan.Verify(s_mixtral);
        JsonNode document = JsonNode.Parse(plan.ToJson())!;
        JsonObject fields = document["plan"]!.AsObject();
        string Refused() => Assert.Throws<InvalidOptionException>(() => Plan.FromJson(document.ToJsonString()).Verify(s_mixtral)).Message;
        foreach (int wrong in (int[])[-1, 3])
        {
            fields["linked_experts"] = wrong;
            Assert.StartsWith($"{wrong} linked experts: a token uses 2 of", Refused(), StringComparison.Ordinal);
        }
        fields.Remove("linked_experts");
        Plan without = Plan.FromJson(document.ToJsonString());
        without.Verify(s_mixtral);
        Assert.Equal(plan with { LinkedExperts = 0 }, without);
        Assert.NotEqual(plan, without);
        Plan resident = Planner.Plan(s_mixtral, new Machine([], 60L << 30), new() { ContextLength = 512 });
        Assert.Equal("plan: linked experts are 1, and the feed-forward parts with experts that the CPU computes are 0", Assert.Throws<InvalidOptionException>(() => (resident with { LinkedExperts = 1 }).Verify(s_mixtral)).Message);
    }

    [Fact]
    public void Reasons_notes_and_exports_say_so()
    {
        string[] Reasons(int linked) => [.. Mixtral(Machine(Speeds(Link, 60e9)), new() { LinkedExperts = linked }).Layers.Where(FeedForwardPart.IsShared).Select(layer => layer.Reason).Distinct()];
        Assert.Equal(["CPU and link: of the 2 experts that a token uses the GPU reads 1 over the link, and the CPU computes 1"], Reasons(1));
        Assert.Equal(["in RAM: the GPU reads the 2 experts that a token uses over the link"], Reasons(2));
        Plan best = Planner.Plan(s_mixtral, Machine(Speeds(Link, 60e9)), Within("0=6GiB,cpu=60GiB") with { Offload = OffloadMode.Cpu, Optimize = Objective.Decode });
        Assert.Contains("1 of a token's 2 experts there over the link", best.Notes[^1], StringComparison.Ordinal);
        Assert.Contains(LlamaCppExport.Of(best, "model.gguf").Notes, note => note.StartsWith("1 of the experts that a token uses in ", StringComparison.Ordinal) && note.EndsWith("the CPU computes them", StringComparison.Ordinal));
        Assert.Contains("with experts over the link", PlanPicture.Draw(best, new SpeedModel(s_mixtral, Speeds(Link, 60e9))), StringComparison.Ordinal);
    }

    [Fact]
    public void No_number_asked_for_is_better_than_what_is_chosen_for_tokens() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(40), Prop.ForAll(
        (from model in Gen.Elements(s_mixtral, s_fine)
         from count in Gen.Choose(1, 2)
         from link in Gen.Choose(4, 64)
         from cpu in Gen.Choose(5, 300)
         from left in Gen.Choose(50, 100)
         from crossing in Gen.Choose(0, 100)
         from gpuMiB in Gen.Choose(500, 8000)
         from hostMiB in Gen.Elements(3000, 60000)
         select (model, count, Speeds(link * 1e9, cpu * 1e9, left / 100.0, crossing * 1e-6), gpuMiB, hostMiB)).ToArbitrary(), one =>
        {
            (ModelShape model, int count, MachineSpeeds speeds, int gpuMiB, int hostMiB) = one;
            var machine = new Machine([.. Enumerable.Repeat(Gpu(true), count)], 64L << 30) { Speeds = speeds with { Gpus = [.. Enumerable.Repeat(speeds.Gpus[0], count)] } };
            PlanOptions options = Within($"{string.Join(',', Enumerable.Range(0, count).Select(gpu => $"{gpu}={gpuMiB}MiB"))},cpu={hostMiB}MiB");
            if (TryPlan(model, machine, options with { Offload = OffloadMode.Cpu, Optimize = Objective.Decode }) is not { } best) return;
            best.Verify(model);
            for (int linked = 0; linked <= model.ExpertUsedCount; linked++)
            {
                if (TryPlan(model, machine, options with { LinkedExperts = linked }) is not { } asked) continue;
                asked.Verify(model);
                Assert.True(best.Predicted!.DecodeSeconds <= asked.Predicted!.DecodeSeconds * 1.02 * 1.000001, $"{linked}: {asked.Predicted} and chosen {best.Predicted}, {best.Notes[^1]}");
            }
        }));

    private static Plan? TryPlan(ModelShape model, Machine machine, PlanOptions options)
    {
        try { return Planner.Plan(model, machine, options); }
        catch (DoesNotFitException) { return null; }
    }

    private static Plan Mixtral(Machine machine, PlanOptions options) => Planner.Plan(s_mixtral, machine, Within("0=6GiB,cpu=60GiB") with { LinkedExperts = options.LinkedExperts, CpuShare = options.CpuShare });

    private static PlanOptions Within(string limits) => new() { ContextLength = 512, MaxMemory = MemoryLimits.Parse(limits), Offload = OffloadMode.Hybrid };

    private static Machine Machine(MachineSpeeds speeds) => new([Gpu(true)], 64L << 30) { Speeds = speeds };

    private static GpuDevice Gpu(bool reads) => new("GPU", "", 80L << 30, 80L << 30) { ReadsHostMemory = reads };

    // A GPU whose own memory takes no time.
    private static MachineSpeeds Speeds(double link, double cpu, double left = 1, double crossing = 0) => new()
    {
        Measured = true,
        Gpus = [new GpuSpeeds("GPU", link, link, new([new(TensorType.F16, 1e16, 1e15)], 1, 0)) { CrossingSeconds = crossing }],
        Cpu = new([new(TensorType.F16, cpu, 1e12)], 1, 0),
        CpuBesideLink = left,
        LinkBesideCpu = left,
        DiskBytesPerSecond = 2e9,
    };

    private static void Near(double expected, double actual, double tolerance = 0.01) => Assert.InRange(actual, expected * (1 - tolerance), expected * (1 + tolerance));
}
