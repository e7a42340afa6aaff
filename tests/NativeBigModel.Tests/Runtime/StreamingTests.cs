using System.Runtime.InteropServices;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Layers that pass through the ring, here on the CPU device: the same code wraps any other.</summary>
[Collection(EngineGroup.Name)]
public class StreamingTests(Capitals capitals)
{
    private static readonly int[] s_ids = [1, 5, 9, 2, 33, 7, 60, 4, 12, 21, 3, 40, 17, 8, 2, 1];

    private static readonly string[] s_models = ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"];

    private static readonly OffloadMode[] s_cycle = [OffloadMode.Stream, OffloadMode.Disk, OffloadMode.Hybrid];

    private static readonly GenerateOptions s_few = Capitals.Greedy with { MaxNewTokens = 8 };

    public static TheoryData<string, OffloadMode, double> Placements
    {
        get
        {
            var data = new TheoryData<string, OffloadMode, double>();
            foreach (string model in s_models)
                foreach (OffloadMode mode in (OffloadMode[])[OffloadMode.Stream, OffloadMode.Disk])
                    foreach (double ring in (double[])[1, 1.3, 2, 5]) data.Add(model, mode, ring);
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Placements))]
    public async Task Streamed_logits_are_those_of_the_same_device_without_streaming_bit_for_bit(string model, OffloadMode mode, double ring)
    {
        using TempFolder folder = Write(model, layers: 7);
        float[] expected = await Logits(folder, Exact());
        Assert.Equal(expected, await Logits(folder, Exact() with { MaxMemory = null, Offload = mode, RingLayers = ring, OffloadFolder = folder["offload"] }));
    }

    [Theory]
    [MemberData(nameof(Hybrids))]
    public async Task Hybrid_logits_are_those_of_the_same_device_without_streaming_bit_for_bit(string model, double share, double ring)
    {
        using TempFolder folder = Write(model, layers: 7);
        int[] prompt = [.. s_ids, .. s_ids, .. s_ids]; // long enough that shared layers stream
        await using BigModel resident = await BigModel.LoadAsync(folder.Path, Exact());
        await using BigModel hybrid = await BigModel.LoadAsync(folder.Path, Exact() with { MaxMemory = null, Offload = OffloadMode.Hybrid, CpuShare = share, RingLayers = ring });
        int onCpu = hybrid.Plan.Layers.Count(layer => layer is { Streamed: false, ComputeDevice: DeviceName.Host } && layer.IsFeedForward);
        Assert.InRange(onCpu, share < 0.5 ? 1 : 3, share < 0.5 ? 3 : 7);
        // One call for the prompt, then a token at a time; and again, after the ring has been left in the other order.
        for (int round = 0; round < 2; round++)
        {
            foreach (int[] ids in (int[][])[s_ids, prompt])
                Assert.Equal((await Capitals.Run(resident, ids, s_few)).Ids, (await Capitals.Run(hybrid, ids, s_few)).Ids);
            Assert.Equal(await Capitals.Logits(resident, prompt), await Capitals.Logits(hybrid, prompt));
        }
        // A token brings what streams and not what the CPU computes.
        long before = hybrid.Streaming!.BytesFromHost, streamed = hybrid.Plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);
        await Capitals.Run(hybrid, s_ids[..1], Capitals.Greedy with { MaxNewTokens = 40 });
        Assert.InRange(hybrid.Streaming.BytesFromHost - before, 1, 42 * streamed);
    }

    public static TheoryData<string, double, double> Hybrids
    {
        get
        {
            var data = new TheoryData<string, double, double>();
            foreach (string model in s_models)
                foreach ((double share, double ring) in ((double, double)[])[(0.25, 2), (0.5, 3), (1, 1.1)]) data.Add(model, share, ring);
            return data;
        }
    }

    [Theory]
    [InlineData("LlamaForCausalLM")]
    [InlineData("Qwen2ForCausalLM")]
    public async Task Layers_in_memory_and_on_disk_mix(string model)
    {
        using TempFolder folder = Write(model, layers: 12);
        float[] expected = await Logits(folder, Exact());
        Plan whole = Planner.Plan(Checkpoint.Open(folder.Path).Describe(), new Machine([], 1L << 30), Exact());
        PlanOptions half = Exact() with { MaxMemory = new() { Host = whole.KvBytes + whole.WeightBytes * 7 / 10 }, RingLayers = 2, OffloadFolder = folder["offload"] };
        await using BigModel streamed = await BigModel.LoadAsync(folder.Path, half);
        Assert.Contains(streamed.Plan.Layers, layer => layer.Streamed && layer.Device == DeviceName.Disk);
        Assert.Contains(streamed.Plan.Layers, layer => !layer.Streamed && layer.Name.StartsWith("blk.", StringComparison.Ordinal));
        Assert.Equal(expected, await Capitals.Logits(streamed, s_ids));
        Assert.Equal(expected, await Capitals.Logits(streamed, s_ids));
    }

    [Fact]
    public async Task What_the_CPU_has_streams_from_as_many_tokens_on_as_the_plan_says()
    {
        using TempFolder folder = Write(s_models[0], layers: 3);
        await using BigModel model = await BigModel.LoadAsync(folder.Path, Exact() with { MaxMemory = null, Offload = OffloadMode.Hybrid, CpuShare = 1, SharedBatchSize = 8 });
        async Task<bool> Brings(int tokens)
        {
            await Capitals.Run(model, [.. Enumerable.Range(5, tokens)], Capitals.Greedy with { MaxNewTokens = 1, ReusePrefix = false });
            return model.Streaming!.Groups.Any(group => group is { Shared: true, Loads: > 0 });
        }
        Assert.Equal((8, false, true), (model.Plan.SharedBatchSize, await Brings(7), await Brings(8)));
    }

    [Fact]
    public async Task A_GGUF_streams_from_its_own_file_and_needs_no_folder()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.Q4_K_M);
        await using BigModel resident = await Capitals.Load(folder["model.gguf"]);
        await using BigModel streamed = await BigModel.LoadAsync(folder["model.gguf"], Streamed(OffloadMode.Disk));
        foreach (Capitals.Reference reference in Capitals.References.Take(3))
            Assert.Equal((await Capitals.Run(resident, reference.Ids, Capitals.Greedy)).Ids, (await Capitals.Run(streamed, reference.Ids, Capitals.Greedy)).Ids);
        Assert.Single(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public async Task Tensors_on_disk_that_need_conversion_need_a_folder_and_are_written_once()
    {
        using var folder = new TempFolder();
        var error = await Assert.ThrowsAsync<InvalidOptionException>(() => BigModel.LoadAsync(TestFolders.Capitals, Streamed(OffloadMode.Disk)));
        Assert.Contains("offload folder", error.Message, StringComparison.Ordinal);
        PlanOptions options = Streamed(OffloadMode.Disk) with { OffloadFolder = folder.Path };
        string answer = await Answer(options);
        string file = Assert.Single(Directory.GetFiles(folder.Path, "*.gguf"));
        DateTime written = File.GetLastWriteTimeUtc(file);
        Assert.Equal(answer, await Answer(options));
        Assert.Equal(written, File.GetLastWriteTimeUtc(file));
        Damage(file);
        Assert.Equal(answer, await Answer(options));
        Assert.Single(Directory.GetFiles(folder.Path, "*.gguf"));
    }

    [Fact]
    public async Task The_bytes_of_ring_memory_and_files_are_those_of_the_plan()
    {
        using TempFolder folder = Write("Qwen2ForCausalLM", layers: 6);
        foreach (OffloadMode mode in (OffloadMode[])[OffloadMode.Stream, OffloadMode.Disk])
        {
            await using BigModel model = await BigModel.LoadAsync(folder.Path, Exact() with { MaxMemory = null, Offload = mode });
            StreamingStats stats = model.Streaming!;
            long streamed = model.Plan.Layers.Where(layer => layer.Streamed).Sum(layer => layer.WeightBytes);
            Assert.Equal(7, stats.Groups.Count);
            Assert.InRange(stats.RingBytes, model.Plan.Devices[0].RingBytes - 3 * 256, model.Plan.Devices[0].RingBytes);
            Assert.Equal(mode == OffloadMode.Disk ? streamed : 0, stats.FileBytes);
            Assert.InRange(stats.HostBytes, mode == OffloadMode.Disk ? 0 : streamed, mode == OffloadMode.Disk ? 0 : streamed + 7 * 8192);
            await Capitals.Logits(model, s_ids);
            Assert.True(model.Streaming!.BytesFromFile + model.Streaming.BytesFromHost >= streamed, "every layer was brought at least once");
        }
    }

    [Fact]
    public async Task The_statistics_tell_each_group_apart_and_what_was_done_since_an_earlier_moment()
    {
        await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, Streamed(OffloadMode.Stream) with { RingLayers = 2 });
        await Capitals.Logits(model, s_ids);
        StreamingStats before = model.Streaming!;
        Assert.Equal([.. model.Plan.Layers.Where(layer => layer.Streamed).Select(layer => (layer.Name, layer.WeightBytes))], before.Groups.Select(group => (group.Name, group.HostBytes)));
        Assert.All(before.Groups, group => Assert.True(group is { Loads: > 0, FileBytes: 0, Shared: false } && group.TimedBytes >= group.Loads * group.HostBytes));
        Assert.All(before.Groups.Where(group => group.HostBytes > 1 << 16), group => Assert.True(group.LoadTime > TimeSpan.Zero)); // a kilobyte takes less than the tick of 100 ns
        Assert.True(before is { Timed: true, Speed: > 0, PeakSpeed: > 0 });
        Assert.NotEqual(StreamingBottleneck.Unknown, before.Bottleneck);
        await Capitals.Logits(model, s_ids);
        StreamingStats done = model.Streaming!.Since(before);
        // All of one pass, and what the ring holds already for the next.
        Assert.All(done.Groups, group => Assert.InRange(group.Loads, 0, before.Groups.Count + 2));
        Assert.InRange(done.Groups.Sum(group => group.Loads), before.Groups.Count, 64 * before.Groups.Count);
        Assert.True(done.BytesFromHost < model.Streaming.BytesFromHost && done.LoadTime < model.Streaming.LoadTime);
        Assert.Equal(before.RingBytes, done.RingBytes);
    }

    [Theory]
    [InlineData(0, 0, 0, StreamingBottleneck.Unknown)]
    [InlineData(1000, 10, 0, StreamingBottleneck.Computing)]
    [InlineData(1000, 700, 0, StreamingBottleneck.Link)]
    [InlineData(1000, 700, 600, StreamingBottleneck.Disk)]
    [InlineData(1000, 700, 100, StreamingBottleneck.Link)]
    public void The_bottleneck_is_what_computing_waited_for(int loadMs, int waitMs, int diskWaitMs, StreamingBottleneck bottleneck)
    {
        StreamedGroup Group(int ms, long file) => new("blk.0", 1, file, false, 1, 0, TimeSpan.Zero, null, TimeSpan.FromMilliseconds(ms));
        var stats = new StreamingStats([Group(waitMs - diskWaitMs, 0), Group(diskWaitMs, 1)], 0, 0, true, 0, 0, 0, 0, 0, true, TimeSpan.FromMilliseconds(loadMs), TimeSpan.FromMilliseconds(waitMs), 0, 0);
        Assert.Equal(bottleneck, stats.Bottleneck);
    }

    [Fact]
    public async Task Two_models_of_different_placements_share_nothing_and_one_outlives_the_other()
    {
        using var folder = new TempFolder();
        PlanOptions disk = Streamed(OffloadMode.Disk) with { OffloadFolder = folder.Path, RingLayers = 2 };
        await using BigModel kept = await BigModel.LoadAsync(TestFolders.Capitals, Streamed(OffloadMode.Stream) with { RingLayers = 4 });
        BigModel other = await BigModel.LoadAsync(TestFolders.Capitals, disk);
        Capitals.Reference reference = Capitals.References[0];
        Task<(int[], string)> both = Capitals.Run(other, reference.Ids, Capitals.Greedy);
        Assert.Equal(reference.Greedy, (await Capitals.Run(kept, reference.Ids, Capitals.Greedy)).Ids);
        await both;
        await other.DisposeAsync();
        Assert.Equal(reference.Greedy, (await Capitals.Run(kept, reference.Ids, Capitals.Greedy)).Ids);
    }

    [Fact]
    public async Task A_file_cut_short_after_loading_fails_the_call_by_name_and_the_next_one_tries_again()
    {
        using var folder = new TempFolder();
        string file = folder["model.gguf"];
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, file, WeightType.F16);
        byte[] whole = await File.ReadAllBytesAsync(file);
        await using BigModel model = await BigModel.LoadAsync(file, Streamed(OffloadMode.Disk) with { RingLayers = 2 });
        int[] prompt = Capitals.References[0].Ids;
        (int[] expected, _) = await Capitals.Run(model, prompt, Capitals.Greedy);
        using (FileStream stream = File.OpenWrite(file)) stream.SetLength(whole.Length / 2);
        var error = await Assert.ThrowsAsync<EngineException>(() => Capitals.Run(model, prompt, Capitals.Greedy));
        Assert.Contains("model.gguf", error.Message, StringComparison.Ordinal);
        await using (FileStream stream = File.OpenWrite(file)) await stream.WriteAsync(whole);
        Assert.Equal(expected, (await Capitals.Run(model, prompt, Capitals.Greedy)).Ids);
    }

    [Fact]
    public async Task Cancelling_in_the_middle_of_a_pass_leaves_a_model_that_works()
    {
        await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, Streamed(OffloadMode.Stream));
        for (int i = 0; i < 20; i++)
        {
            using var cancel = new CancellationTokenSource(TimeSpan.FromMilliseconds(i));
            try { await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy, cancel.Token); }
            catch (OperationCanceledException) { }
        }
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy)).Ids);
    }

    [Fact]
    public async Task Loading_and_disposing_again_and_again_leaves_no_file_open_and_no_memory_held()
    {
        using var folder = new TempFolder();
        await GgufConverter.ConvertAsync(capitals.Model.Checkpoint, folder["model.gguf"], WeightType.F32);
        async Task Cycle(int times)
        {
            for (int i = 0; i < times; i++)
            {
                await using BigModel model = await BigModel.LoadAsync(folder["model.gguf"], Streamed(s_cycle[i % s_cycle.Length]));
                await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy with { MaxNewTokens = 2 });
            }
        }
        await Cycle(20);
        (long memory, int files) before = Held();
        await Cycle(180);
        (long memory, int files) after = Held();
        // Less than a hundredth of what each load takes.
        Assert.True(after.memory - before.memory < 25 << 20, $"{after.memory - before.memory} bytes more are held after 180 loads of 14 MiB");
        Assert.True(after.files <= before.files + 2, $"{after.files - before.files} more files are open");
    }

    [Fact]
    public async Task An_exception_in_a_progress_callback_ends_the_load_and_leaves_nothing_open()
    {
        int open = Directory.GetFiles("/proc/self/fd").Length;
        for (int i = 0; i < 10; i++)
        {
            var progress = new Now(step => { if (step.BytesDone > 0) throw new FormatException("the caller's own"); });
            await Assert.ThrowsAsync<FormatException>(() => BigModel.LoadAsync(TestFolders.Capitals, Streamed(OffloadMode.Hybrid), progress));
        }
        Assert.InRange(Directory.GetFiles("/proc/self/fd").Length, 0, open + 2);
        Assert.Equal(Capitals.References[0].Greedy, (await Capitals.Run(capitals.Model, Capitals.References[0].Ids, Capitals.Greedy)).Ids);
    }

    private static (long Memory, int Files) Held()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        _ = TrimHeap(0); // what the C library keeps for later is held by nobody
        string line = File.ReadLines("/proc/self/status").First(line => line.StartsWith("RssAnon:", StringComparison.Ordinal));
        return (long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], null) * 1024, Directory.GetFiles("/proc/self/fd").Length);
    }

    [DllImport("libc", EntryPoint = "malloc_trim")]
    private static extern int TrimHeap(nint kept);

    private static PlanOptions Streamed(OffloadMode mode) => new() { ContextLength = 256, Offload = mode };

    private static PlanOptions Exact() => Capitals.Exact(64) with { WeightType = WeightType.AsStored };

    private static TempFolder Write(string model, int layers)
    {
        var folder = new TempFolder();
        new TinyModel(model) { Layers = layers, Hidden = 128, FeedForward = 192, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
        return folder;
    }

    private static async Task<float[]> Logits(TempFolder folder, PlanOptions options)
    {
        await using BigModel model = await BigModel.LoadAsync(folder.Path, options);
        return await Capitals.Logits(model, s_ids);
    }

    private static async Task<string> Answer(PlanOptions options)
    {
        await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, options);
        return (await Capitals.Run(model, Capitals.References[0].Ids, Capitals.Greedy)).Text;
    }

    private static void Damage(string file)
    {
        using FileStream stream = File.OpenWrite(file);
        stream.Position = stream.Length / 2;
        stream.Write([1, 2, 3, 4]);
    }
}
