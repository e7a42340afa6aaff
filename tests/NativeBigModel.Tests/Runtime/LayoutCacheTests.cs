using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

/// <summary>What the engine said of a plan is not asked again, and nothing that is wrong is believed.</summary>
[Collection(EngineGroup.Name)]
public sealed class LayoutCacheTests : IDisposable
{
    private static readonly PlanOptions s_options = new() { ContextLength = 96, BatchSize = 32 };

    private readonly TempFolder _folder = new();
    private readonly string? _before = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");

    public LayoutCacheTests() => Environment.SetEnvironmentVariable("XDG_CACHE_HOME", _folder["cache"]);

    [Fact]
    public void What_was_laid_out_once_is_read_the_second_time()
    {
        Plan first = Plan(s_options);
        Assert.True(first.ComputeMeasured);
        string[] files = Files();
        Assert.NotEmpty(files);
        Assert.Equal(first, Plan(s_options));
        Assert.Equal(files, Files());
        // The file is believed: another figure in it is another figure in the plan.
        long compute = first.Devices.Single().ComputeBytes;
        foreach (string file in files) File.WriteAllText(file, File.ReadAllText(file).Replace($":{compute}", $":{compute + 1}", StringComparison.Ordinal));
        Assert.Equal(compute + 1, Plan(s_options).Devices.Single().ComputeBytes);
    }

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("[null]")]
    [InlineData("{")]
    [InlineData("""[{"device":"cpu"}]""")]
    [InlineData("""[{"device":"tpu","weight_bytes":1,"streamed_bytes":0,"kv_bytes":1,"compute_bytes":1}]""")]
    [InlineData("""[{"device":"cpu","weight_bytes":1,"streamed_bytes":0,"kv_bytes":1,"compute_bytes":-1}]""")]
    [InlineData("""[{"device":"cpu","weight_bytes":1e99,"streamed_bytes":0,"kv_bytes":1,"compute_bytes":1}]""")]
    public void A_damaged_file_is_made_anew(string damage)
    {
        Plan whole = Plan(s_options);
        Dictionary<string, string> before = Files().ToDictionary(file => file, File.ReadAllText);
        foreach (string file in before.Keys) File.WriteAllText(file, damage);
        Assert.Equal(whole, Plan(s_options));
        Assert.All(before, file => Assert.Equal(file.Value, File.ReadAllText(file.Key)));
    }

    [Fact]
    public void Each_thing_that_the_engine_lays_out_by_has_a_file_of_its_own_and_limits_have_not()
    {
        Plan(s_options);
        int count = Files().Length;
        Plan(s_options with { MaxMemory = new() { Host = 1L << 30 }, Threads = 1 });
        Assert.Equal(count, Files().Length);
        foreach (PlanOptions other in (PlanOptions[])
            [s_options with { ContextLength = 128 }, s_options with { BatchSize = 64 }, s_options with { KvType = TensorType.F32 }, s_options with { Sessions = 2 }, s_options with { FlashAttention = false },
             s_options with { WeightType = WeightType.F16 }, s_options with { Offload = OffloadMode.Stream }, s_options with { Offload = OffloadMode.Stream, RingLayers = 4 }])
        {
            Plan(other);
            Assert.True(Files().Length > count, $"{other}");
            count = Files().Length;
        }
    }

    [Fact]
    public async Task Several_may_write_and_read_one_file()
    {
        string file = Path.Combine(_folder["cache"], "nbm", "layout-x.json");
        EngineBytes[] devices = [new("cpu", 1, 2, 3, 4), new("0", 5, 6, 7, 8)];
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 100; i++)
            {
                LayoutCache.Keep(file, devices);
                if (LayoutCache.Find(file) is { } found) Assert.Equal(devices, found);
            }
        })));
        Assert.Equal(devices, LayoutCache.Find(file));
        Assert.Equal([file], Files());
    }

    [Fact]
    public void No_more_files_are_kept_than_a_bound()
    {
        string first = Path.Combine(_folder["cache"], "nbm", "layout-0.json"), last = Path.Combine(_folder["cache"], "nbm", "layout-599.json");
        for (int i = 0; i < 600; i++) LayoutCache.Keep(Path.Combine(_folder["cache"], "nbm", $"layout-{i}.json"), [new("cpu", i, 0, 0, 0)]);
        Assert.InRange(Files().Length, 1, 512);
        Assert.True(!File.Exists(first) && File.Exists(last));
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_no_cache_and_no_error()
    {
        File.WriteAllText(_folder["cache"], "a file in the way");
        Assert.True(Plan(s_options).ComputeMeasured);
    }

    public void Dispose()
    {
        Environment.SetEnvironmentVariable("XDG_CACHE_HOME", _before);
        _folder.Dispose();
    }

    private string[] Files() => Directory.Exists(_folder["cache"]) ? [.. Directory.EnumerateFiles(_folder["cache"], "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)] : [];

    private static Plan Plan(PlanOptions options) => Checkpoint.Open(TestFolders.Capitals).Plan(new Machine([], 1L << 30), options);
}
