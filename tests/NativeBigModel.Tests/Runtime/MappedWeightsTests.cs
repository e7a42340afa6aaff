using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Weights that the CPU reads where they stand in a file, and what other programs may do to the file meanwhile.</summary>
[Collection(EngineGroup.Name)]
public class MappedWeightsTests(Capitals capitals)
{
    [Fact]
    public async Task A_file_is_mapped_while_its_model_lives_and_not_longer()
    {
        if (!OperatingSystem.IsLinux()) return;
        using TempFolder folder = await ConvertedAsync();
        await using (await Capitals.Load(folder["model.gguf"])) Assert.True(IsMapped(folder["model.gguf"]));
        Assert.False(IsMapped(folder["model.gguf"]));
    }

    [Fact]
    public async Task Every_byte_that_is_mapped_is_told_of_once()
    {
        using TempFolder folder = await ConvertedAsync();
        Checkpoint checkpoint = Checkpoint.Open(folder["model.gguf"]);
        List<LoadProgress> told = [];
        await using BigModel model = await BigModel.LoadAsync(checkpoint, checkpoint.Plan(Machine.Probe(), Capitals.Small()), new Now(one => { if (one.Phase == LoadPhase.Weights) told.Add(one); }));
        Assert.Equal(checkpoint.Describe().WeightBytes, told[^1].BytesTotal);
        Assert.Equal(told[^1].BytesTotal, told[^1].BytesDone);
        Assert.Equal(told.Select(one => one.BytesDone).Distinct().Order(), told.Select(one => one.BytesDone));
    }

    [Fact]
    public async Task A_file_that_is_cut_before_the_load_is_named_and_let_go()
    {
        if (!OperatingSystem.IsLinux()) return;
        using TempFolder folder = await ConvertedAsync();
        Checkpoint checkpoint = Checkpoint.Open(folder["model.gguf"]);
        Plan plan = checkpoint.Plan(Machine.Probe(), Capitals.Small());
        using (FileStream stream = File.OpenWrite(folder["model.gguf"])) stream.SetLength(stream.Length / 2);
        var error = await Assert.ThrowsAsync<CheckpointException>(() => BigModel.LoadAsync(checkpoint, plan));
        Assert.Contains("model.gguf", error.Message, StringComparison.Ordinal);
        Assert.False(IsMapped(folder["model.gguf"]));
    }

    [Fact]
    public async Task A_file_that_is_cut_ends_the_generation_and_not_the_process()
    {
        if (!OperatingSystem.IsLinux()) return;
        using TempFolder folder = await ConvertedAsync();
        await using BigModel model = await Capitals.Load(folder["model.gguf"]);
        Capitals.Reference reference = Capitals.References[0];
        GenerateOptions options = Capitals.Greedy with { MaxNewTokens = reference.Greedy.Length };
        Assert.Equal(reference.Greedy, (await Capitals.Run(model, reference.Ids, options)).Ids);
        using (FileStream stream = File.OpenWrite(folder["model.gguf"])) stream.SetLength(4096);
        foreach (int _ in (int[])[1, 2])
        {
            var error = await Assert.ThrowsAsync<CheckpointException>(() => Capitals.Run(model, reference.Ids, options));
            Assert.Contains("model.gguf", error.Message, StringComparison.Ordinal);
            Assert.Contains("has 4096 now", error.Message, StringComparison.Ordinal);
        }
        Assert.Equal(reference.Greedy, (await Capitals.Run(capitals.Model, reference.Ids, options)).Ids);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_file_may_be_deleted_or_replaced_under_its_model(bool replaced)
    {
        using TempFolder folder = await ConvertedAsync();
        await using BigModel model = await Capitals.Load(folder["model.gguf"]);
        File.Delete(folder["model.gguf"]);
        if (replaced) await File.WriteAllTextAsync(folder["model.gguf"], "another");
        Capitals.Reference reference = Capitals.References[0];
        Assert.Equal(reference.Greedy, (await Capitals.Run(model, reference.Ids, Capitals.Greedy with { MaxNewTokens = reference.Greedy.Length })).Ids);
    }

    private async Task<TempFolder> ConvertedAsync()
    {
        var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.AsStored);
        return folder;
    }

    private static bool IsMapped(string path) => File.ReadLines("/proc/self/maps").Any(line => line.EndsWith(path, StringComparison.Ordinal));
}
