using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Planning;

/// <summary>How many threads a plan gives to the CPU.</summary>
public class ThreadTests
{
    private static readonly ModelShape s_model = Models.Llama(8, 1024, 4096, 8, 8, 8000, TensorType.F16);

    private static readonly Machine s_eight = new([], 0) { Cores = 8 };

    [Theory]
    [InlineData(OffloadMode.Cpu, null, null, null, 8)]
    [InlineData(OffloadMode.Stream, null, null, null, 7)] // one core is the loader's
    [InlineData(OffloadMode.Hybrid, null, null, null, 7)]
    [InlineData(OffloadMode.Cpu, 12, 5, null, 12)] // what was measured goes before what is counted
    [InlineData(OffloadMode.Stream, 12, 5, null, 5)]
    [InlineData(OffloadMode.Stream, 12, 5, 3, 3)] // and what is asked for before both
    public void It_is_one_a_core_unless_measured_or_asked_otherwise(OffloadMode offload, int? alone, int? beside, int? asked, int expected)
    {
        Machine machine = s_eight with { Speeds = MachineSpeeds.Assumed with { Threads = alone, ThreadsBesideLink = beside } };
        Plan plan = Planner.Plan(s_model, machine, new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=150MiB,cpu=2GiB"), Offload = offload, Threads = asked });
        Assert.Equal(expected, plan.Threads);
        Assert.Equal(expected, NativeBigModel.Planning.Plan.FromJson(plan.ToJson()).Threads);
    }

    [Fact]
    public void What_travels_for_prompts_alone_takes_no_core_from_the_CPU_that_computes_tokens()
    {
        Plan plan = Planner.Plan(s_model, s_eight, new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=150MiB,cpu=2GiB"), Offload = OffloadMode.Hybrid, CpuShare = 1 });
        Assert.Contains(plan.Layers, FeedForwardPart.IsShared);
        Assert.Equal(8, plan.Threads);
    }

    [Fact]
    public void A_machine_that_nobody_looked_at_is_left_to_the_one_that_carries_the_plan_out() => Assert.Null(Planner.Plan(s_model, new Machine([], 4L << 30), new()).Threads);

    [Theory]
    [InlineData("0-7", 4)]
    [InlineData("0,4", 1)] // two threads of one core
    [InlineData("0-1,7", 3)]
    [InlineData("9", null)]
    public void Threads_of_one_core_count_once_and_only_where_the_process_may_run(string allowed, int? cores)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["status"], $"Name:\tx\nCpus_allowed_list:\t{allowed}\n");
        for (int processor = 0; processor < 8; processor++)
        {
            string topology = Directory.CreateDirectory(Path.Combine(folder.Path, $"cpu{processor}", "topology")).FullName;
            File.WriteAllText(Path.Combine(topology, "physical_package_id"), "0\n");
            File.WriteAllText(Path.Combine(topology, "core_id"), $"{processor % 4}\n");
        }
        Assert.Equal(cores, ProcessorCores.OfLinux(folder["status"], folder.Path));
    }

    [Fact]
    public void This_process_may_use_one_core_at_least() => Assert.InRange(ProcessorCores.Usable, 1, Environment.ProcessorCount);
}
