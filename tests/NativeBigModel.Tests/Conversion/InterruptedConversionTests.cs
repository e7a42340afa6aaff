using NativeBigModel.Checkpoints;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Conversion;

[Collection(EngineGroup.Name)]
public class InterruptedConversionTests
{
    private static readonly TinyModel s_tiny = new("LlamaForCausalLM") { Layers = 4 };

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cancelling_half_way_leaves_what_was_there_before(bool existing)
    {
        using var folder = new TempFolder();
        if (existing) File.WriteAllText(folder["out.gguf"], "before");
        using var cancel = new CancellationTokenSource();
        var progress = new Now(step => { if (step.BytesDone * 2 > step.BytesTotal) cancel.Cancel(); });

        var error = await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            GgufConverter.ConvertAsync(Checkpoint.Open(TestFolders.Capitals), folder["out.gguf"], WeightType.Q4_K_M, progress, cancel.Token));

        Assert.Equal(cancel.Token, error.CancellationToken);
        RequireUntouched(folder, existing);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_damaged_weight_leaves_what_was_there_before(bool existing)
    {
        using TempFolder folder = new(), model = new();
        if (existing) File.WriteAllText(folder["out.gguf"], "before");
        s_tiny.Write(model.Path);
        using (FileStream stream = File.OpenWrite(model["model.safetensors"]))
        {
            stream.Seek(-4, SeekOrigin.End);
            stream.Write(BitConverter.GetBytes(float.NaN));
        }

        var error = await Assert.ThrowsAsync<CheckpointException>(() => GgufConverter.ConvertAsync(Checkpoint.Open(model.Path), folder["out.gguf"], WeightType.Q8_0));

        Assert.Contains("blk.3.ffn_down.weight", error.Message, StringComparison.Ordinal);
        RequireUntouched(folder, existing);
    }

    [Fact]
    public async Task A_shard_that_shrinks_after_opening_is_a_checkpoint_error()
    {
        using TempFolder folder = new(), model = new();
        s_tiny.Write(model.Path);
        Checkpoint checkpoint = Checkpoint.Open(model.Path);
        using (FileStream stream = File.OpenWrite(model["model.safetensors"])) stream.SetLength(stream.Length - 100);

        await Assert.ThrowsAsync<CheckpointException>(() => GgufConverter.ConvertAsync(checkpoint, folder["out.gguf"], WeightType.F16));
        RequireUntouched(folder, existing: false);
    }

    [Fact]
    public async Task An_output_that_cannot_be_written_leaves_nothing()
    {
        using TempFolder folder = new(), model = new();
        s_tiny.Write(model.Path);
        Directory.CreateDirectory(folder["taken.gguf"]);

        await Assert.ThrowsAnyAsync<IOException>(() => GgufConverter.ConvertAsync(Checkpoint.Open(model.Path), folder["taken.gguf"], WeightType.F16));
        await Assert.ThrowsAnyAsync<IOException>(() => GgufConverter.ConvertAsync(Checkpoint.Open(model.Path), Path.Combine(folder["no such folder"], "out.gguf"), WeightType.F16));
        Assert.Empty(folder.Files);
        Assert.False(Directory.Exists(folder["no such folder"]));
    }

    [Fact]
    public void A_failing_write_stops_every_worker_and_is_what_the_caller_sees()
    {
        var tensor = new ModelTensor(new TensorSpec("w", [256, 8192], TensorType.F16), new Zeros());
        using var files = new CheckpointFiles();
        var sink = new Full();

        var error = Assert.Throws<IOException>(() => TensorPump.Run([tensor], files, sink, null, CancellationToken.None));

        Assert.Equal("disk full", error.Message);
        Assert.True(sink.Pieces < 8, "pieces went on being written after the failure");
    }

    [Fact]
    public async Task A_finished_conversion_replaces_an_existing_file()
    {
        using TempFolder folder = new(), model = new();
        s_tiny.Write(model.Path);
        File.WriteAllText(folder["out.gguf"], "before");

        ConversionResult result = await GgufConverter.ConvertAsync(Checkpoint.Open(model.Path), folder["out.gguf"], WeightType.F16);

        Assert.Equal(["out.gguf"], folder.Files);
        Assert.Equal(new FileInfo(folder["out.gguf"]).Length, result.Bytes);
        Assert.Equal(Checkpoint.Open(folder["out.gguf"]).Describe().Tensors, result.Tensors);
    }

    [Theory]
    [InlineData(WeightType.F32)]
    [InlineData(WeightType.F16)]
    [InlineData(WeightType.BF16)]
    public async Task Progress_never_falls_and_reaches_the_total(WeightType type)
    {
        using var folder = new TempFolder();
        List<LoadProgress> seen = [];
        await GgufConverter.ConvertAsync(Checkpoint.Open(TestFolders.Capitals), folder["out.gguf"], type, new Now(step => { lock (seen) seen.Add(step); }));
        ProgressOrder.Require(seen);
    }

    private static void RequireUntouched(TempFolder folder, bool existing)
    {
        Assert.Equal(existing ? ["out.gguf"] : [], folder.Files);
        if (existing) Assert.Equal("before", File.ReadAllText(folder["out.gguf"]));
    }

    private sealed class Zeros() : TensorSource(TensorType.F32, 8192, 256)
    {
        public override void Read(CheckpointFiles files, long firstRow, Span<byte> destination) => destination.Clear();
    }

    private sealed class Full : ITensorSink
    {
        private int _pieces;

        public int Pieces => _pieces;

        public Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory) => memory.Target(bytes);

        public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
        {
            if (Interlocked.Increment(ref _pieces) == 2) throw new IOException("disk full");
            if (_pieces > 2) Thread.Sleep(20);
        }
    }
}
