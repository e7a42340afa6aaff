using BenchmarkDotNet.Attributes;
using NativeBigModel.Bench.Models;
using NativeBigModel.Planning;

namespace NativeBigModel.Micro;

/// <summary>Plans of Llama-3.1-405B as Q4_K_M on two GPUs of 24 GiB: as it comes, and searched for the fastest token; and one of a mixture of 256 experts, searched too.</summary>
public class PlanBenchmarks
{
    private static readonly Machine s_machine = new([new("CUDA0", "GPU", 24L << 30, 24L << 30), new("CUDA1", "GPU", 24L << 30, 24L << 30)], 190L << 30);

    private static readonly PlanOptions s_options = new() { MaxMemory = MemoryLimits.Parse("0=24GiB,1=24GiB,cpu=190GiB") };

    private static readonly ModelShape s_model = new SyntheticModel("405b", "llama", WeightType.Q4_K_M, 126, 16384, 53248, 128, 8, 128256).Shape;

    private static readonly ModelShape s_mixture = new SyntheticModel("mixture", "llama", WeightType.Q4_0, 60, 7168, 2048, 128, 8, 129280) { Experts = (256, 8) }.Shape;

    [Benchmark]
    public Plan Place() => Planner.Plan(s_model, s_machine, s_options);

    [Benchmark]
    public Plan Search() => Planner.Plan(s_model, s_machine, s_options with { Optimize = Objective.Decode, MaxMemory = MemoryLimits.Parse("0=24GiB,cpu=250GiB") });

    [Benchmark]
    public Plan SearchMixture() => Planner.Plan(s_mixture, s_machine, s_options with { Optimize = Objective.Decode, MaxMemory = MemoryLimits.Parse("0=24GiB,cpu=450GiB") });
}
