using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Planning;

/// <summary>Placements that are chosen by their predicted speed.</summary>
public class PlanSearchTests
{
    private const long MiB = 1 << 20;

    private static readonly ModelShape[] s_models =
    [
        Models.Llama(24, 2048, 5632, 16, 16, 32000, TensorType.F16),
        Models.Llama(32, 4096, 11008, 32, 32, 32000, TensorType.Q4_0),
        Models.Llama(16, 2048, 7168, 16, 8, 32000, TensorType.Q8_0, experts: 8, used: 2),
    ];

    private static readonly Arbitrary<(ModelShape Model, Machine Machine, MemoryLimits Limits, Objective Objective)> s_cases =
        (from model in Gen.Elements(s_models)
         from link in Gen.Choose(4, 60)
         from cpu in Gen.Choose(5, 100)
         from gpu in Gen.Choose(100, 3000)
         from left in Gen.Choose(50, 100)
         from gpuMiB in Gen.Choose(300, 8000)
         from hostMiB in Gen.Choose(300, 20000)
         from objective in Gen.Elements(Enum.GetValues<Objective>())
         select (model, new Machine([], 0) { Speeds = Speeds(link, cpu, gpu, left / 100.0) }, Limits(hostMiB, gpuMiB), objective)).ToArbitrary();

    private static readonly ModelShape[] s_large =
    [
        Models.Llama(32, 4096, 11008, 32, 32, 32000, TensorType.F16),
        Models.Llama(80, 8192, 28672, 64, 8, 32000, TensorType.Q4_0),
        Models.Llama(32, 4096, 14336, 32, 8, 32000, TensorType.Q8_0, experts: 8, used: 2),
    ];

    private static readonly Arbitrary<(ModelShape Model, Machine Machine, MemoryLimits Limits, Objective Objective)> s_several =
        (from model in Gen.Elements(s_large)
         from count in Gen.Choose(2, 3)
         from links in Gen.ArrayOf(Gen.Choose(16, 64), 3)
         from together in Gen.Choose(40, 100)
         from cpu in Gen.Choose(20, 300)
         from gpus in Gen.ArrayOf(Gen.Choose(500, 3000), 3)
         from left in Gen.Choose(50, 100)
         from gpuMiB in Gen.ArrayOf(Gen.Choose(1500, 16000), 3)
         from hostMiB in Gen.OneOf(Gen.Choose(2000, 20000), Gen.Constant(100000))
         from objective in Gen.Elements(Enum.GetValues<Objective>())
         select (model, new Machine([], 0) { Speeds = Speeds([.. links.Take(count).Select(link => (double)link)], cpu, gpus, left / 100.0, together / 100.0) }, Limits(hostMiB, gpuMiB[..count]), objective)).ToArbitrary();

    [Fact]
    public void What_is_chosen_is_no_worse_than_any_fixed_placement_and_within_the_limits() => Run(s_cases, 60, one =>
    {
        if (TryPlan(one, new() { Optimize = one.Objective }) is not { } chosen) return;
        chosen.Verify(one.Model);
        Assert.Equal(chosen, Plan.FromJson(chosen.ToJson()));
        Assert.All(chosen.Devices, device => Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue)));
        Assert.Equal(one.Model.WeightBytes, chosen.Layers.Sum(layer => layer.WeightBytes));
        foreach (OffloadMode mode in Enum.GetValues<OffloadMode>())
        {
            if (TryPlan(one, new() { Offload = mode }) is not { } @fixed) continue;
            double slack = one.Objective == Objective.Memory ? 1.1 : 1.02;
            Assert.True(Cost(one.Objective, chosen) <= Cost(one.Objective, @fixed) * slack * 1.000001, $"{mode}: {@fixed.Predicted} and chosen {chosen.Predicted}");
            // Another that is as good is no better at the other thing.
            if (one.Objective == Objective.Decode && @fixed.Predicted!.DecodeSeconds <= chosen.Predicted!.DecodeSeconds) Assert.True(@fixed.Predicted.PrefillSeconds >= chosen.Predicted.PrefillSeconds * 0.999999, $"{mode}: {@fixed.Predicted} and chosen {chosen.Predicted}");
        }
    });

    [Fact]
    public void With_several_GPUs_what_is_chosen_is_no_worse_than_any_fixed_placement_on_all_or_one_of_them_and_than_llama_cpp_layers() => Run(s_several, 60, one =>
    {
        if (TryPlan(one, new() { Optimize = one.Objective }) is not { } chosen) return;
        chosen.Verify(one.Model);
        Assert.All(chosen.Devices, device => Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue)));
        double slack = one.Objective == Objective.Memory ? 1.1 : 1.02;
        MemoryLimits[] within = [one.Limits, .. one.Limits.Gpus.Select(gpu => one.Limits with { Gpus = ImmutableSortedDictionary<int, long>.Empty.Add(gpu.Key, gpu.Value) })];
        foreach (MemoryLimits limits in within)
        {
            foreach (OffloadMode mode in Enum.GetValues<OffloadMode>())
            {
                if (TryPlan(one with { Limits = limits }, new() { Offload = mode }) is { } @fixed)
                    Assert.True(Cost(one.Objective, chosen) <= Cost(one.Objective, @fixed) * slack * 1.000001, $"{mode} on GPUs {string.Join(",", limits.Gpus.Keys)}: {@fixed.Predicted} and chosen {chosen.Predicted}, {chosen.Notes[^1]}");
            }
        }
        if (LastLayersOnGpus(one) is { } stock) Assert.True(Cost(one.Objective, chosen) <= Cost(one.Objective, stock) * slack * 1.000001, $"-ngl: {stock.Predicted} and chosen {chosen.Predicted}, {chosen.Notes[^1]}");
    });

    [Fact]
    public void More_memory_never_makes_the_predicted_time_worse() => Run(
        (from one in s_cases.Generator from gpu in Gen.Choose(0, 4000) from host in Gen.Choose(0, 8000) select (one, gpu, host)).ToArbitrary(), 60, both =>
        {
            var before = both.one with { Objective = Objective.Decode };
            var after = before with { Limits = new() { Gpus = before.Limits.Gpus.SetItem(0, before.Limits.Gpus[0] + both.gpu * MiB), Host = before.Limits.Host + both.host * MiB } };
            if (TryPlan(before, new() { Optimize = Objective.Decode }) is not { } less) return;
            Plan? more = TryPlan(after, new() { Optimize = Objective.Decode });
            Assert.True(more is not null, "more memory made a plan impossible");
            Assert.True(more.Predicted!.DecodeSeconds <= less.Predicted!.DecodeSeconds * 1.03, $"{less.Predicted} and with more {more.Predicted}");
        });

    [Fact]
    public void A_fast_link_streams_and_a_fast_CPU_computes()
    {
        ModelShape model = s_models[0];
        double Share(double link, double cpu)
        {
            Plan plan = Planner.Plan(model, new Machine([], 0) { Speeds = Speeds(link, cpu, 1000, 1) }, new() { ContextLength = 512, MaxMemory = Limits(20000, 800), Optimize = Objective.Decode });
            return (double)plan.Layers.Where(layer => layer.ComputeDevice == DeviceName.Host).Sum(layer => layer.WeightBytes) / plan.WeightBytes;
        }
        Assert.True(Share(60, 5) < 0.35);
        Assert.True(Share(5, 60) > 0.6);
    }

    [Fact]
    public void Memory_is_saved_where_it_buys_nothing()
    {
        // Everything fits on the GPU either way; a plan for memory holds no more there than one for speed, to the 2 % within which the search calls plans equal.
        var one = (Model: s_models[0], Machine: new Machine([], 0) { Speeds = Speeds(20, 20, 1000, 1) }, Limits: Limits(20000, 2000), Objective: Objective.Memory);
        Plan memory = TryPlan(one, new() { Optimize = Objective.Memory })!, speed = TryPlan(one, new() { Optimize = Objective.Decode })!;
        Assert.True(memory.Devices[0].TotalBytes <= speed.Devices[0].TotalBytes * 1.02);
        Assert.True(memory.Predicted!.DecodeSeconds <= speed.Predicted!.DecodeSeconds * 1.1);
    }

    [Fact]
    public void What_does_not_fit_names_two_changes_that_make_it_fit()
    {
        var machine = new Machine([], 0);
        var options = new PlanOptions { ContextLength = 4096, MaxMemory = new() { Host = 1220 * MiB } };
        var error = Assert.Throws<DoesNotFitException>(() => Planner.Plan(s_models[0], machine, options));
        Assert.Matches("it fits with .+, or with .+", error.Message);
        Assert.Contains("a KV cache in Q8_0", error.Message, StringComparison.Ordinal);
        Assert.NotNull(Planner.Plan(s_models[0], machine, options with { KvType = TensorType.Q8_0 }));
    }

    [Fact]
    public void A_plan_that_the_machine_has_not_the_memory_for_now_is_refused_with_two_ways_out()
    {
        Plan plan = Planner.Plan(s_models[0], new Machine([], 8L << 30), new() { ContextLength = 4096 });
        LoadGate.Require(plan, s_models[0], new Machine([], 8L << 30));
        var error = Assert.Throws<DoesNotFitException>(() => LoadGate.Require(plan, s_models[0], new Machine([], 1220 * MiB)));
        Assert.Equal((DeviceName.Host, plan.Devices[0].TotalBytes, 1220 * MiB), (error.Device, error.NeededBytes, error.LimitBytes));
        Assert.Matches("it fits with .+, or with .+", error.Message);
        // Where the same model fits by streaming more of it, that is said first.
        Assert.Contains("a plan made anew", Assert.Throws<DoesNotFitException>(() => LoadGate.Require(plan, s_models[0], new Machine([], 2500 * MiB))).Message, StringComparison.Ordinal);
    }

    private static double Cost(Objective objective, Plan plan) => objective switch
    {
        Objective.Prefill => plan.Predicted!.PrefillSeconds,
        Objective.Balanced => plan.Predicted!.PrefillSeconds + plan.Predicted.DecodeSeconds * plan.Predicted.PromptTokens / 4,
        _ => plan.Predicted!.DecodeSeconds,
    };

    private static Plan? TryPlan((ModelShape Model, Machine Machine, MemoryLimits Limits, Objective Objective) one, PlanOptions options)
    {
        options = options with { ContextLength = 512, MaxMemory = one.Limits };
        try { return options.Optimize is null ? Planner.AsAsked(one.Model, one.Machine, options, new(one.Model, one.Machine.Speeds!)) : Planner.Plan(one.Model, one.Machine, options); }
        catch (DoesNotFitException) { return null; }
    }

    // -ngl: as many of the last layers as fit, shared out to the GPUs by their memory; the CPU computes the others.
    private static Plan? LastLayersOnGpus((ModelShape Model, Machine Machine, MemoryLimits Limits, Objective Objective) one)
    {
        int layers = one.Model.Layers.Length;
        double memory = one.Limits.Gpus.Values.Sum(bytes => (double)bytes);
        Plan? With(int onGpus)
        {
            List<KeyValuePair<string, string>> map = [new("", "cpu"), new("output", $"{one.Limits.Gpus.Keys.Last()}"), new("output_norm", $"{one.Limits.Gpus.Keys.Last()}")];
            for (int i = 0; i < onGpus; i++)
            {
                double before = 0;
                map.Add(new($"blk.{layers - onGpus + i}", $"{one.Limits.Gpus.First(gpu => (before += gpu.Value) > memory * i / onGpus || gpu.Key == one.Limits.Gpus.Keys.Last()).Key}"));
            }
            return TryPlan(one, new() { DeviceMap = DeviceMap.Of(map) });
        }
        (int fit, int tooMany) = (0, layers + 1);
        while (fit + 1 < tooMany)
        {
            int middle = (fit + tooMany) / 2;
            if (With(middle) is null) tooMany = middle;
            else fit = middle;
        }
        return fit > 0 ? With(fit) : null;
    }

    private static MachineSpeeds Speeds(double link, double cpu, double gpu, double left) => Speeds([link], cpu, [(int)gpu], left, 1);

    private static MachineSpeeds Speeds(IReadOnlyList<double> links, double cpu, IReadOnlyList<int> gpus, double left, double together) => new()
    {
        Measured = true,
        Gpus = [.. links.Zip(gpus, (link, gpu) => new GpuSpeeds("GPU", link * 1e9, link * 1e9, new([new(TensorType.F16, gpu * 1e9, gpu * 1e11)], 0.9, 30e-6)) { ToDeviceTogether = links.Count > 1 ? link * 1e9 * together : null })],
        Cpu = new([new(TensorType.F16, cpu * 1e9, cpu * 2e10)], 0.9, 5e-6),
        CpuBesideLink = left,
        LinkBesideCpu = left,
        DiskBytesPerSecond = 2e9,
    };

    private static MemoryLimits Limits(long host, params int[] gpus) => new() { Gpus = gpus.Select((gpu, i) => KeyValuePair.Create(i, gpu * MiB)).ToImmutableSortedDictionary(), Host = host * MiB };

    private static void Run<T>(Arbitrary<T> cases, int count, Action<T> check) => Check.One(Config.QuickThrowOnFailure.WithMaxTest(count), Prop.ForAll(cases, check));
}
