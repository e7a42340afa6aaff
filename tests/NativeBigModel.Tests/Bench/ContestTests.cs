using System.Text.Json;
using NativeBigModel.Bench.Contests;
using NativeBigModel.Bench.Models;
using NativeBigModel.Bench.Results;
using NativeBigModel.Native;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Bench;

/// <summary>How contests run their contenders, and what becomes of the measurements.</summary>
public class ContestTests
{
    private static readonly SyntheticModel s_small = new("small", "llama", WeightType.Q4_K_M, 4, 512, 1024, 8, 2, 256);

    private static readonly Case[] s_cases = [Budget(1L << 30), Budget(2L << 30)];

    private sealed record Fake(string Name, bool Free = false) : Contender(Name)
    {
        public override bool KnowsNoBudget(Case one) => Free;

        public override bool Takes(Case one) => true;

        public override IReadOnlyList<string> Command(Case one, string path) => [Name];
    }

    [Fact]
    public async Task ContendersTakeTurnsRoundByRound()
    {
        List<string> order = [];
        await Run([new Fake("A"), new Fake("B"), new Fake("free", Free: true)], 2, (one, contender) =>
        {
            order.Add($"{contender.Name}{(contender.KnowsNoBudget(one) ? "" : one.BudgetBytes >> 30)}");
            return Timed(1, 1);
        });
        Assert.Equal(["A1", "B1", "free", "A2", "B2", "A1", "B1", "free", "A2", "B2"], order);
    }

    [Fact]
    public async Task AContenderThatFailsIsARowThatSaysSoAndIsNotTriedAgain()
    {
        int tries = 0;
        List<Measurement> rows = await Run([new Fake("A"), new Fake("bad")], 3, (one, contender) =>
        {
            if (contender.Name == "A") return Timed(1, 1);
            tries++;
            return new ChildResult(null, "exit code 4: does not fit, by 1, 2", null, null);
        });
        Assert.Equal(s_cases.Length, tries);
        Assert.Equal(s_cases.Length, rows.Count(row => row.Failure == "exit code 4: does not fit, by 1, 2"));
        Assert.Equal(3 * s_cases.Length, rows.Count(row => row.Contender == "A" && row.Failure.Length == 0));
        var text = new StringWriter();
        Summary.Print(rows, text);
        Assert.Contains("| bad | failed: exit code 4", text.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task RatiosArePairedWithinARoundAndATableSaysWhoIsFaster()
    {
        var seconds = new Queue<double>([1.0, 2.0, 0.5, 4.0, 5.0, 2.0, 10.0, 5.0, 5.0]);
        List<Measurement> rows = await Run([new Fake("A"), new Fake("B"), new Fake("C")], 3, (one, contender) => Timed(seconds.Dequeue(), 1), s_cases[..1]);
        Repeated? ratio = Summary.Ratio([.. rows.Where(row => row.Contender == "B")], [.. rows.Where(row => row.Contender == "A")], Figure.Token);
        Assert.Equal(new Repeated(1.25, 0.5, 2, 3), ratio);
        var text = new StringWriter();
        Summary.Print(rows, text);
        string[] lines = text.ToString().Split('\n');
        Assert.Contains("faster: token", lines.Single(line => line.StartsWith("| C |", StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.DoesNotContain("faster", lines.Single(line => line.StartsWith("| B |", StringComparison.Ordinal)), StringComparison.Ordinal);
    }

    [Fact]
    public void TheMedianOfAnEvenNumberLiesBetweenTheMiddleTwo()
    {
        Assert.Equal(new Repeated(2.5, 1, 9, 4), Repeated.Of([9, 1, null, 2, 3]));
        Assert.Null(Repeated.Of([null]));
    }

    [Fact]
    public async Task AProgramsLastWordsAreItsFailureAndItsJsonIsFoundBehindOtherLines()
    {
        if (OperatingSystem.IsWindows()) return;
        TimeSpan patience = TimeSpan.FromSeconds(60);
        ChildResult good = await Child.RunAsync(["sh", "-c", "echo loading; printf '{\\n\"load_s\": 2}\\n'"], patience, gpu: false, default);
        Assert.Equal(2, good.Result!.Value.GetProperty("load_s").GetDouble());
        ChildResult bad = await Child.RunAsync(["sh", "-c", "echo first >&2; echo out of memory >&2; exit 3"], patience, gpu: false, default);
        Assert.Equal((null, "exit code 3: out of memory"), (bad.Result, bad.Failure));
        Assert.Equal("printed no result", (await Child.RunAsync(["sh", "-c", "echo nothing"], patience, gpu: false, default)).Failure);
        Assert.NotEmpty((await Child.RunAsync(["no-such-program-anywhere"], patience, gpu: false, default)).Failure);
    }

    [Fact]
    public async Task AProgramThatTakesTooLongIsEnded()
    {
        if (OperatingSystem.IsWindows()) return;
        ChildResult late = await Child.RunAsync(["sh", "-c", "sleep 1000"], TimeSpan.FromMilliseconds(50), gpu: false, default);
        Assert.StartsWith("not done after", late.Failure, StringComparison.Ordinal);
        using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(50));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Child.RunAsync(["sh", "-c", "sleep 1000"], TimeSpan.FromMinutes(10), gpu: false, cancel.Token));
    }

    [Fact]
    public void ContendersAreChosenByTheBeginningsOfTheirNames()
    {
        Assert.Equal(["nbm hybrid", "llama.cpp ngl", "llama.cpp fit", "llama.cpp experts on CPU"], Contenders.Named(["llama.cpp", "nbm hybrid"]).Select(one => one.Name));
        Assert.Contains("accelerate", Assert.Throws<InvalidOptionException>(() => Contenders.Named(["vllm"])).Message, StringComparison.Ordinal);
        Assert.Equal(Contenders.All.Count, Contenders.All.Select(one => one.Name).Distinct().Count());
    }

    [Fact]
    public void EveryContenderIsAskedForTheSamePromptAndTokens()
    {
        foreach (SyntheticModel model in SyntheticModel.Known)
        {
            var one = new Case(model, 8L << 30, OnGpu: true, 512, 9, "work");
            foreach (Contender contender in Contenders.All.Where(contender => contender.Absent is null && contender.Takes(one)))
            {
                string command = string.Join(' ', contender.Command(one, "model.gguf"));
                Assert.Contains("--prompt 512 --tokens 9", command, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void ThoseThatAreHeldToSomeRamAreToldSoAndTheRestComesFromTheDisk()
    {
        SyntheticModel model = SyntheticModel.Named("7b-f16");
        var one = new Case(model, 4L << 30, OnGpu: true, 512, 9, "work", RamBytes: 8L << 30);
        Assert.Equal((8L << 30, (long?)null, 4L << 30), (one.CageBytes!.Value, (one with { RamBytes = null }).CageBytes, (one with { OnGpu = false }).CageBytes!.Value));
        string told = string.Join(' ', Contenders.Named(["nbm hybrid"])[0].Command(one, "model.gguf")), accelerate = string.Join(' ', Contenders.Named(["accelerate"])[0].Command(one, "folder"));
        Assert.Contains($"--max-memory 0={4L << 30}B,cpu={5L << 30}B", told, StringComparison.Ordinal);
        Assert.Contains("--gpu 4 --cpu 5 ", accelerate, StringComparison.Ordinal);
        ModelBytes bytes = ModelBytes.Of(model);
        var machine = new Bandwidths(80e9, 1e12, 2e9, 4000e9, 600e12, 55e9);
        Assert.Equal((bytes.ReadBytes - (12L << 30)) / 2e9, Bounds.Token(bytes, 4L << 30, machine, 8L << 30), 9);
        Assert.Equal((bytes.ReadBytes - (12L << 30)) / 2e9, Bounds.Prompt(bytes, 4L << 30, 512, machine, 8L << 30), 9);
        Assert.Equal(Bounds.Token(bytes, 4L << 30, machine), Bounds.Token(bytes, 4L << 30, machine, 60L << 30));
    }

    [Fact]
    public async Task SyntheticModelsAreFilesThatTheEngineComputesFiniteLogitsFrom()
    {
        using var folder = new TempFolder();
        foreach (SyntheticModel model in (SyntheticModel[])
            [s_small, s_small with { Name = "q8", Type = WeightType.Q8_0 }, s_small with { Name = "q4", Type = WeightType.Q4_0, Experts = (4, 2) },
             s_small with { Name = "qwen", Architecture = "qwen3moe", Type = WeightType.F16, Experts = (8, 2), HeadLength = 32 }])
        {
            string file = folder[model.Name + ".gguf"];
            model.WriteGguf(file);
            Assert.Equal(model.Tensors.Sum(tensor => tensor.Bytes), Checkpoint.Open(file).Describe().WeightBytes);
            await using BigModel loaded = await BigModel.LoadAsync(file, new PlanOptions { ContextLength = 256, MaxMemory = MemoryLimits.Parse("cpu=1GiB") });
            await foreach (float[] logits in loaded.ComputeLogitsAsync([1, 2, 3]))
            {
                Assert.All(logits, value => Assert.True(float.IsFinite(value)));
                Assert.True(logits.Distinct().Count() > 100);
            }
        }
    }

    [Theory]
    [InlineData(TensorType.F16)]
    [InlineData(TensorType.Q8_0)]
    [InlineData(TensorType.Q4_0)]
    [InlineData(TensorType.Q4_K)]
    [InlineData(TensorType.Q6_K)]
    public void RandomWeightsHaveTheDeviationAskedForAndNoMean(TensorType type)
    {
        const float deviation = 0.02f;
        var values = new float[1 << 20];
        EngineLibrary.Load();
        GgmlQuantizer.Dequantize(type, RandomWeights.Block(type, deviation).AsSpan(0, (int)type.RowBytes(values.Length)), values);
        double mean = values.Average(value => (double)value);
        Assert.InRange(mean / deviation, -0.01, 0.01);
        Assert.InRange(Math.Sqrt(values.Average(value => (value - mean) * (value - mean))) / deviation, 0.9, 1.1);
    }

    [Fact]
    public async Task AFolderMadeOfASyntheticModelHoldsItsWeights()
    {
        using var folder = new TempFolder();
        var store = new ModelStore(folder.Path);
        SyntheticModel model = s_small with { Type = WeightType.F16 };
        Checkpoint made = Checkpoint.Open(await store.FolderAsync(model));
        Assert.Equal(CheckpointFormat.HuggingFace, made.Format);
        Assert.Equal(Checkpoint.Open(store.Gguf(model)).Describe().WeightBytes, made.Describe().WeightBytes);
        store.Remove(model);
        Assert.Empty(Directory.EnumerateFileSystemEntries(folder.Path));
    }

    private static Case Budget(long bytes) => new(s_small, bytes, OnGpu: true, 8, 2, "");

    private static ChildResult Timed(double token, double prompt) =>
        new(JsonSerializer.SerializeToElement(new { load_s = 1.0, rounds = new[] { new { prompt = 8, prefill_s = prompt, decode_s_per_token = token } } }), "", 5, 7);

    private static async Task<List<Measurement>> Run(IReadOnlyList<Contender> contenders, int rounds, Func<Case, Contender, ChildResult> run, IReadOnlyList<Case>? cases = null)
    {
        List<Measurement> rows = [];
        var runner = new ContestRunner((contender, one, _) => Task.FromResult(run(one, contender)), rows.Add);
        await runner.RunAsync(cases ?? s_cases, contenders, rounds, default);
        return rows;
    }
}
