using System.Xml.Linq;
using NativeBigModel.Bench.Contests;
using NativeBigModel.Bench.Models;
using NativeBigModel.Bench.Plots;
using NativeBigModel.Bench.Results;

namespace NativeBigModel.Tests.Bench;

/// <summary>Result files, what is made of two of them, their pictures, and the bounds in them.</summary>
public class ResultTests
{
    private static Measurement Row(string contender, int round, double token, long budget = 4L << 30) => new()
    {
        Model = "7b-f16", Type = "F16", WeightBytes = 13_000_000_000, BudgetBytes = budget, Contender = contender, Round = round, LoadSeconds = 2, PromptTokens = 512,
        PromptSeconds = 0.2, TokenSeconds = token, BoundTokenSeconds = budget > 0 ? 0.09 : null,
    };

    [Fact]
    public void AFileIsReadAsItWasWritten()
    {
        using var folder = new TempFolder();
        Measurement failed = Row("AirLLM's \"method\", 3.2", 2, 0) with { LoadSeconds = null, PromptTokens = null, PromptSeconds = null, TokenSeconds = null, GpuPeakBytes = 1L << 40, Failure = "exit code 1: a, \"b\"" };
        var file = new ResultFile(["machine: one, two", "command: \"x\""], [Row("nbm", 1, 0.102), failed]);
        file.Write(folder["a.csv"]);
        ResultFile read = ResultFile.Read(folder["a.csv"]);
        Assert.Equal(file.Head, read.Head);
        Assert.Equal(file.Rows, read.Rows);
        Assert.Equal(["a.csv"], folder.Files);
    }

    [Theory]
    [InlineData("model,other\n", "line 1")]
    [InlineData("# head\n", "line 2")]
    [InlineData("# head\nCOLUMNS\n7b,F16,1\n", "line 3: 3 fields, and there are 18 columns")]
    [InlineData("COLUMNS\n7b,F16,many,1,nbm,1,,,,,,,,,,,,\n", "line 2: weight_bytes: 'many' is not a number")]
    [InlineData("COLUMNS\n7b,F16,1,1,nbm,,,,,,,,,,,,,\n", "line 2: round: there is no number")]
    public void AFileThatIsNoneIsRefusedWithThePlace(string text, string expected)
    {
        using var folder = new TempFolder();
        File.WriteAllText(folder["a.csv"], text.Replace("COLUMNS", ResultFile.Columns, StringComparison.Ordinal));
        Assert.Contains(expected, Assert.Throws<InvalidDataException>(() => ResultFile.Read(folder["a.csv"])).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(new[] { 1.0, 1.1 }, new[] { 1.2, 1.3 }, "Slower", 1)] // ranges apart, medians 19 % apart
    [InlineData(new[] { 1.0, 1.3 }, new[] { 1.25, 1.5 }, "Same", 0)] // ranges touch
    [InlineData(new[] { 1.0, 1.0 }, new[] { 1.04, 1.04 }, "Same", 0)] // within the tolerance
    [InlineData(new[] { 1.2, 1.3 }, new[] { 1.0, 1.1 }, "Faster", 0)]
    public void AFigureMovedWhereItLeavesSpreadAndTolerance(double[] before, double[] after, string expected, int exitCode)
    {
        IReadOnlyList<Comparison.Change> changes = Compare(before.Select((token, i) => Row("nbm", i + 1, token)), after.Select((token, i) => Row("nbm", i + 1, token)));
        Assert.Equal(expected, changes.Single(change => change.Figure == Figure.Token.Title).Verdict.ToString());
        Assert.Equal("Same", changes.Single(change => change.Figure == Figure.Load.Title).Verdict.ToString());
        Assert.Equal(exitCode, Comparison.Print(changes, 0.05, TextWriter.Null));
    }

    [Fact]
    public void WhatFailsNowIsARegressionAndWhatWasNotMeasuredIsNone()
    {
        Measurement failed = Row("nbm", 1, 0) with { PromptTokens = null, PromptSeconds = null, TokenSeconds = null, LoadSeconds = null, Failure = "exit code 1" };
        IReadOnlyList<Comparison.Change> fails = Compare([Row("nbm", 1, 1)], [failed]), gone = Compare([Row("nbm", 1, 1), Row("old", 1, 1)], [Row("nbm", 1, 1), Row("new", 1, 9)]);
        Assert.Equal(1, Comparison.Print(fails, 0.05, TextWriter.Null));
        Assert.Equal(0, Comparison.Print(gone, 0.05, TextWriter.Null));
        Assert.Contains(gone, change => change.Verdict == Comparison.Verdict.Gone);
    }

    [Fact]
    public void BytesBeyondABudgetCountWhatATokenReads()
    {
        var dense = new ModelBytes(100, 0, 1, 0);
        Assert.Equal([100, 60, 0, 0], new[] { 0L, 40, 100, 400 }.Select(dense.Beyond));
        // 20 that every token reads, 80 of experts of which it reads a quarter: the budget holds the former first.
        var experts = new ModelBytes(100, 80, 0.25, 0);
        Assert.Equal([40, 30, 20, 10, 0], new[] { 0L, 10, 20, 60, 100 }.Select(experts.Beyond));
        var model = ModelBytes.Of(SyntheticModel.Named("mixtral-q4_0"));
        Assert.Equal(0.25, model.ExpertsRead);
        // 8 x 3 matrices of 4096 x 14336 in 32 layers, 18 bytes for 32 weights.
        Assert.Equal(32L * 8 * 3 * 4096 * 14336 / 32 * 18, model.ExpertBytes);
    }

    [Fact]
    public void ATokensBoundIsTheBestOfLinkAndCpuTogether()
    {
        var model = new ModelBytes(10_000, 0, 1, 2);
        var machine = new Bandwidths(Cpu: 50, CpuFlops: 100, Disk: 2, Gpu: 4000, GpuFlops: 10_000, Link: 50);
        // All on the GPU: its memory alone. All beyond it: link and CPU share the bytes, and the GPU's own reading is behind the link's.
        Assert.Equal(2.5, Bounds.Token(model, 10_000, machine), 3);
        double all = Bounds.Token(model, 0, machine);
        Assert.InRange(all, 100, 101.5);
        // No better than link and CPU added, no worse than either alone.
        Assert.True(Bounds.Token(model, 5_000, machine) < 5_000 / 50.0 && Bounds.Token(model, 5_000, machine) >= 5_000 / 100.0);
        // A CPU that starves the link does not help: streaming alone.
        Assert.Equal(200, Bounds.Token(model, 0, machine with { LinkBesideCpu = 0.01, Cpu = 0.01 }), 3);
        // Without a GPU, what RAM does not hold comes from the disk, meanwhile the CPU computes.
        Assert.Equal(2_000, Bounds.Token(model, 6_000, new(Cpu: 50, CpuFlops: 100, Disk: 2)));
        Assert.Equal(200, Bounds.Token(model, 10_000, new(Cpu: 50, CpuFlops: 100, Disk: 2)));
        // Of two measurements, what each says is possible.
        Assert.Equal(new(Cpu: 60, CpuFlops: 100, Disk: 3), new Bandwidths(Cpu: 50, CpuFlops: 100, Disk: 3).Or(new(Cpu: 60, CpuFlops: 90, Disk: 2)));
    }

    [Fact]
    public void APromptsBoundIsTheLinkOrTheArithmetic()
    {
        var model = new ModelBytes(10_000, 8_000, 0.25, 2_000);
        var machine = new Bandwidths(Cpu: 50, CpuFlops: 100, Disk: 2, Gpu: 4000, GpuFlops: 10_000, Link: 50);
        Assert.Equal(180, Bounds.Prompt(model, 1_000, 512, machine)); // every expert passes the link
        Assert.Equal(2_000.0 * 512 / 10_000, Bounds.Prompt(model, 9_000, 512, machine), 6);
    }

    [Fact]
    public void APictureIsXmlThatNamesEverySystem()
    {
        string[] names = ["nbm hybrid", "nbm streamed", "llama.cpp ngl", "accelerate <auto> & more", "AirLLM's method"];
        Measurement[] rows =
        [
            .. names[..4].SelectMany((name, i) => new[] { 4L, 8, 12 }.SelectMany(gib => new[] { 1, 2 }.Select(round => Row(name, round, 0.1 * (i + 1) + 0.01 * round, gib << 30)))),
            Row(names[4], 1, 7.4, 0),
        ];
        var file = new ResultFile(["machine: a GPU"], rows);
        using var folder = new TempFolder();
        Plot.Draw(file, null, Figure.Token).Save(folder["a.svg"]);
        XDocument read = XDocument.Load(folder["a.svg"]);
        string[] texts = [.. read.Descendants().Where(element => element.Name.LocalName == "text").Select(element => element.Value)];
        Assert.All(names, name => Assert.Contains(name, texts));
        Assert.Contains("the machine's bound", texts);
        Assert.All(new[] { "4", "8", "12" }, gib => Assert.Contains(gib, texts));
        // Names do not lie on each other.
        double[] heights = [.. read.Descendants().Where(element => names.Contains(element.Value) && element.Name.LocalName == "text").Select(element => double.Parse(element.Attribute("y")!.Value, System.Globalization.CultureInfo.InvariantCulture)).Order()];
        Assert.All(heights.Zip(heights.Skip(1)), pair => Assert.True(pair.Second - pair.First > 13));
    }

    [Fact]
    public void WithoutBudgetsAPictureHasBars()
    {
        Measurement[] rows = [Row("nbm", 1, 0, 0) with { ConvertSeconds = 47 }, Row("two steps", 1, 0, 0) with { ConvertSeconds = 63 }];
        XDocument picture = Plot.Draw(new([], rows), null, Figure.Convert);
        Assert.Contains(picture.Descendants(), element => element.Value == "63 s");
        Assert.Contains("7b-f16", Assert.Throws<InvalidOptionException>(() => Plot.Draw(new([], rows), "other", Figure.Convert)).Message, StringComparison.Ordinal);
    }

    private static IReadOnlyList<Comparison.Change> Compare(IEnumerable<Measurement> before, IEnumerable<Measurement> after) => Comparison.Of(new([], [.. before]), new([], [.. after]), 0.05);
}
