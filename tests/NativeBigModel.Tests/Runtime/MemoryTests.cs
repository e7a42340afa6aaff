using System.Globalization;
using System.Text.RegularExpressions;
using NativeBigModel.Planning;

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
        double planned = plan.Devices.Single(device => device.Name == DeviceName.Host).WeightBytes / 1024.0 / 1024.0;
        Assert.InRange((double)Sum(ModelLine(), lines), planned - 0.01, planned + slack);
        Assert.Equal(plan.WeightBytes, plan.Devices.Sum(device => device.WeightBytes));
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
