using System.Globalization;
using System.Text.RegularExpressions;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

/// <summary>The bytes of the plan against the buffers that llama.cpp says it allocated, in MiB with two decimals.</summary>
[Collection(EngineGroup.Name)]
public partial class MemoryTests
{
    public static TheoryData<TensorType, int> Caches
    {
        get
        {
            var data = new TheoryData<TensorType, int>();
            foreach (TensorType type in KvCache.Types)
                foreach (int context in (int[])[1, 255, 256, 257, 512]) data.Add(type, context);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Caches))]
    public async Task The_KV_cache_has_the_bytes_of_the_plan(TensorType type, int context)
    {
        (Plan plan, IReadOnlyList<string> lines) = await Load(TestFolders.Capitals, Capitals.Small() with { KvType = type, ContextLength = context });
        Assert.Equal(InMebibytes(plan.KvBytes), Sum(KvLine(), lines));
    }

    [Theory]
    [InlineData(WeightType.AsStored)]
    [InlineData(WeightType.F32)]
    [InlineData(WeightType.Q4_K_M)]
    public async Task The_weights_have_the_bytes_of_the_plan_and_ggml_s_alignment(WeightType type)
    {
        (Plan plan, IReadOnlyList<string> lines) = await Load(TestFolders.Capitals, Capitals.Small(type));
        // The CPU's buffers round each tensor up to 32 bytes, and their own beginning likewise (ggml-backend.cpp, TENSOR_ALIGNMENT).
        double slack = (plan.Layers.Length * 12 + 1) * 32 / 1024.0 / 1024.0 + 0.01;
        // Layouts of the CPU's own may take more, which plans count beside the compute buffers.
        long more = EnginePlacement.LayoutsOf(plan, Checkpoint.Open(TestFolders.Capitals).Describe(type).Tensors).Sum(layout => layout.MoreBytes);
        DevicePlan host = plan.Devices.Single(device => device.Name == DeviceName.Host);
        Assert.InRange(more, 0, host.ComputeBytes);
        double planned = (host.WeightBytes + more) / 1024.0 / 1024.0;
        Assert.InRange((double)Sum(ModelLine(), lines), planned - 0.01, planned + slack);
        Assert.Equal(plan.WeightBytes, plan.Devices.Sum(device => device.WeightBytes));
    }

    [Fact]
    public void Layouts_of_the_CPU_s_own_are_for_plans_whose_limit_has_room_for_what_they_take_more()
    {
        ModelShape model = Checkpoint.Open(TestFolders.Capitals).Describe(WeightType.Q4_K_M);
        Plan plan = Planner.Plan(model, new Machine([], 1 << 30), Capitals.Small(WeightType.Q4_K_M));
        NativeBigModel.Native.EngineLibrary.Load();
        long more = EnginePlacement.LayoutsOf(plan, model.Tensors).Sum(layout => layout.MoreBytes);
        DevicePlan host = plan.Devices.Single(device => device.Name == DeviceName.Host);
        bool Laid(long left) => EnginePlacement.LayoutsOf(plan with { Devices = [host with { LimitBytes = host.TotalBytes - host.ComputeBytes + left }] }, model.Tensors).Count > 0;
        Assert.Equal(EnginePlacement.LayoutsOf(plan, model.Tensors).Count > 0, Laid(2 * more));
        Assert.True(more == 0 || !Laid(2 * more - 2));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Tied_or_not_each_tensor_is_allocated_once_on_the_host(bool tied)
    {
        using var folder = new TempFolder();
        new TinyModel("LlamaForCausalLM") { Tied = tied, Vocabulary = 8192 }.Write(folder.Path);
        (Plan plan, IReadOnlyList<string> lines) = await Load(folder.Path, Capitals.Small());
        Assert.InRange((double)Sum(ModelLine(), lines) * 1024 * 1024, plan.WeightBytes - 6000, plan.WeightBytes + 6000 + 24 * 64);
    }

    private static async Task<(Plan, IReadOnlyList<string>)> Load(string path, PlanOptions options)
    {
        Plan? plan = null;
        IReadOnlyList<string> lines = await EngineLog.During(async () =>
        {
            await using BigModel model = await Capitals.Load(path, options);
            plan = model.Plan;
        });
        return (plan!, lines);
    }

    private static decimal Sum(Regex pattern, IReadOnlyList<string> lines)
    {
        decimal[] sizes = [.. lines.Select(line => pattern.Match(line)).Where(match => match.Success).Select(match => decimal.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture))];
        Assert.NotEmpty(sizes);
        return sizes.Sum();
    }

    private static decimal InMebibytes(long bytes) => Math.Round(bytes / 1024m / 1024m, 2, MidpointRounding.ToEven);

    [GeneratedRegex(@"KV buffer size = +([0-9.]+) MiB")]
    private static partial Regex KvLine();

    [GeneratedRegex(@"model buffer size = +([0-9.]+) MiB")]
    private static partial Regex ModelLine();
}
