using NativeBigModel.Bench.Memory;
using NativeBigModel.Bench.Models;

namespace NativeBigModel.Tests.Bench;

/// <summary>What devices hold of random plans, as the command prints it.</summary>
[Collection(EngineGroup.Name)]
public class BytesBenchTests
{
    private static readonly SyntheticModel s_dense = new("dense", "llama", WeightType.Q4_K_M, 6, 512, 1024, 8, 2, 512);

    private static readonly SyntheticModel s_mixture = new("mixture", "qwen3moe", WeightType.F16, 4, 256, 256, 4, 2, 512) { Experts = (8, 2), HeadLength = 64 };

    [Fact]
    public void PlansThatTheCpuCarriesOutHoldWhatTheySay() => Run(20);

    [TestGpusFact]
    public Task PlansOnAGpuHoldWhatTheySay() => TestGpus.Run(["100000000"], static () =>
    {
        string output = Run(40);
        Assert.Contains("drivers gave at most 0 bytes more than planned, 0 times more than allowed, and had up to 0 of them still after the model was gone", output, StringComparison.Ordinal);
        Assert.True(output.Split("GPU 0: ").Length > 20);
        return Task.CompletedTask;
    });

    private static string Run(int plans)
    {
        using var folder = new TempFolder();
        s_dense.WriteGguf(folder["dense.gguf"]);
        s_mixture.WriteGguf(folder["mixture.gguf"]);
        var output = new StringWriter();
        int code = BytesBench.Run([folder["dense.gguf"], folder["mixture.gguf"], "--count", $"{plans}", "--seed", "3", "--csv", folder["bytes.csv"]], output);
        Assert.True(code == 0, output.ToString());
        Assert.Contains($"{plans} of {plans} plans have every kind of bytes on every device within 0.5 %, 0 have a device over its limit", output.ToString(), StringComparison.Ordinal);
        string[] rows = File.ReadAllLines(folder["bytes.csv"]);
        Assert.Equal(Enumerable.Range(1, plans), rows.Skip(1).Select(row => int.Parse(row.Split(',')[0])).Distinct());
        return output.ToString();
    }
}
