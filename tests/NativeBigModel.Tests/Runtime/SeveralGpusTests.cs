using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Text.Json;
using NativeBigModel.Bench.Memory;
using NativeBigModel.Conversion;
using NativeBigModel.Native;
using NativeBigModel.Planning;
using NativeBigModel.Runtime;
using NativeBigModel.Tensors;

namespace NativeBigModel.Tests.Runtime;

/// <summary>Placements on two GPUs, in processes that see them.</summary>
[Collection(EngineGroup.Name)]
public class SeveralGpusTests
{
    private const int Hidden = 128;

    private static readonly int[] s_ids = [1, 5, 9, 2, 33, 7, 60, 4, 12, 21, 3, 40, 17, 8, 2, 1];

    private static readonly string[] s_models = ["LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM"];

    private static readonly TensorType[] s_caches = [TensorType.F16, TensorType.F32, TensorType.Q8_0];

    private static readonly WeightType[] s_types = [WeightType.AsStored, WeightType.F16, WeightType.Q8_0];

    private static readonly string[] s_gpus = ["64000000", "64000000"], s_small = ["16000000", "16000000"];

    // The bundled model, and where its layers are computed then.
    private static readonly (string Devices, PlanOptions Options)[] s_spreads =
    [
        ("0 1", Spread(7_000_000, 7_000_000)),
        ("0 1 cpu", Spread(4_500_000, 4_500_000)),
        ("0* 1*", Spread(4_500_000, 6_500_000, OffloadMode.Stream)),
        ("0* 1* cpu", Spread(4_500_000, 4_500_000, OffloadMode.Hybrid)),
    ];

    private static readonly string[] s_unstreamed = ["0", "0 1", "0 1 cpu"];

    [TestGpusFact]
    public Task The_engine_sees_them_with_their_memory() => TestGpus.Run(["64000000", "128000000"], static () =>
    {
        Assert.Equal([("TWIN0", 64000000L, 64000000L), ("TWIN1", 128000000, 128000000)], Machine.Probe().Gpus.Select(gpu => (gpu.Name, gpu.FreeBytes, gpu.TotalBytes)));
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task Logits_of_every_placement_are_those_of_one_GPU_bit_for_bit() => TestGpus.Run(s_gpus, static async () =>
    {
        int[] prompt = [.. s_ids, .. s_ids, .. s_ids]; // long enough that layers which the CPU computes stream
        foreach (string model in s_models)
        {
            using TempFolder folder = Write(model, layers: 7);
            await using BigModel one = await BigModel.LoadAsync(folder.Path, Exact());
            Assert.Equal("0", Devices(one.Plan));
            DevicePlan whole = one.Plan.Devices[0];
            // Room for so much of the model besides what is computed in.
            PlanOptions Shares(double first, double second, OffloadMode offload = OffloadMode.Cpu) => Exact() with { MaxMemory = Limits(Room(whole, first), Room(whole, second)), Offload = offload, OffloadFolder = folder["offload"] };
            foreach ((string devices, PlanOptions options) in ((string, PlanOptions)[])
            [
                ("0 1", Shares(0.7, 0.7)),
                ("0 cpu", Shares(0.6, 0)),
                ("0 1 cpu", Shares(0.3, 0.3)),
                ("0*", Shares(0.5, 0, OffloadMode.Stream)),
                ("0* 1*", Shares(0.3, 0.5, OffloadMode.Stream)),
                ("0* 1* cpu", Shares(0.3, 0.5, OffloadMode.Hybrid)),
                ("0 1*", Shares(0.3, 0.5, OffloadMode.Disk)),
                ("0* 1*", Exact() with { MaxMemory = null, Offload = OffloadMode.Stream }),
            ])
            {
                await using BigModel placed = await BigModel.LoadAsync(folder.Path, options);
                Assert.Equal(devices, Devices(placed.Plan));
                foreach (int[] ids in (int[][])[s_ids, prompt, s_ids]) Assert.Equal(await Capitals.Logits(one, ids), await Capitals.Logits(placed, ids));
            }
        }
    });

    [TestGpusFact]
    public Task Placements_agree_bit_for_bit_for_every_type_of_cache_and_weights() => TestGpus.Run(s_gpus, static async () =>
    {
        using TempFolder folder = Write("LlamaForCausalLM", layers: 5, wide: 4);
        foreach ((TensorType cache, bool flash, WeightType weights) in ((TensorType, bool, WeightType)[])
            [(TensorType.F16, true, WeightType.AsStored), (TensorType.F16, false, WeightType.F16), (TensorType.BF16, true, WeightType.BF16), (TensorType.Q8_0, true, WeightType.Q8_0), (TensorType.Q4_0, true, WeightType.Q8_0)])
        {
            PlanOptions alone = Exact() with { KvType = cache, FlashAttention = flash, WeightType = weights, BatchSize = 32 };
            await using BigModel one = await BigModel.LoadAsync(folder.Path, alone);
            DevicePlan whole = one.Plan.Devices[0];
            foreach ((string devices, double first, double second, OffloadMode offload) in ((string, double, double, OffloadMode)[])
                [("0 1", 0.75, 0.75, OffloadMode.Cpu), ("0 1 cpu", 0.4, 0.4, OffloadMode.Cpu), ("0 1*", 0.3, 0.5, OffloadMode.Disk), ("0 1* cpu", 0.3, 0.5, OffloadMode.Hybrid)])
            {
                PlanOptions options = alone with { MaxMemory = Limits(Room(whole, first), Room(whole, second)), Offload = offload, OffloadFolder = folder["offload"] };
                await using BigModel placed = await BigModel.LoadAsync(folder.Path, options);
                Assert.Equal(devices, Devices(placed.Plan));
                Assert.Equal(await Capitals.Logits(one, s_ids), await Capitals.Logits(placed, s_ids));
            }
        }
    });

    [TestGpusFact]
    public Task The_bundled_model_answers_as_transformers_does_however_it_is_spread() => TestGpus.Run(s_gpus, static async () =>
    {
        foreach ((string devices, PlanOptions options) in s_spreads)
        {
            await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, options);
            Assert.Equal(devices, Devices(model.Plan));
            await Task.WhenAll(Capitals.References.Select(async reference => Assert.Equal(reference.Greedy, (await Capitals.Run(model, reference.Ids, Capitals.Greedy)).Ids)));
        }
    });

    // The files are float32, which vectors stay.
    [TestGpusFact]
    public Task Weights_that_are_only_read_reach_GPUs_out_of_memory_that_is_pinned_meanwhile() => TestGpus.Run(s_gpus, static () =>
    {
        foreach ((WeightType type, bool read) in ((WeightType, bool)[])[(WeightType.AsStored, true), (WeightType.F16, false), (WeightType.Q8_0, false)])
            foreach (string devices in s_unstreamed)
            {
                (long matrices, long vectors, long pinned, long other) = Handed(devices, type);
                Assert.Equal(read ? (matrices + vectors, 0) : (vectors, matrices), (pinned, other));
            }
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task A_piece_lies_in_other_memory_where_pinned_memory_is_too_small_or_refused() => TestGpus.Run(s_gpus, static () =>
    {
        EngineLibrary.Load();
        unsafe
        {
            var gpu = (GgmlBackendDevice*)EngineDevices.Gpus()[0];
            GgmlBackendBufferType* type = GgmlBackendApi.GgmlBackendDevHostBufferType(gpu);
            using (var memory = new WorkerMemory())
            {
                Assert.Equal((65, 0), (memory.Pinned(type, 64, 65).Length, Told("test_gpus_pinned")));
                Assert.Equal((64, 64), (memory.Pinned(type, 64, 64).Length, Told("test_gpus_pinned")));
                Assert.Equal((65, 64), (memory.Pinned(type, 64, 65).Length, Told("test_gpus_pinned")));
            }
            Assert.Equal(0, Told("test_gpus_pinned"));
            using var refused = new WorkerMemory();
            Span<byte> piece = refused.Pinned(GgmlBackendApi.GgmlBackendDevBufferType(gpu), taken: 100_000_000, 64); // more than it has
            piece.Fill(1);
            Assert.Equal(64, piece.Length);
        }
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task GPUs_that_pin_nothing_get_the_same_weights_from_other_memory() => TestGpus.Run(["64000000-", "64000000-"], static async () =>
    {
        foreach (string devices in s_unstreamed)
        {
            (long matrices, long vectors, long pinned, long other) = Handed(devices, WeightType.AsStored);
            Assert.Equal((0, matrices + vectors), (pinned, other));
        }
        foreach ((string devices, PlanOptions options) in s_spreads[..2])
        {
            await using BigModel model = await BigModel.LoadAsync(TestFolders.Capitals, options);
            Assert.Equal(devices, Devices(model.Plan));
            foreach (Capitals.Reference reference in Capitals.References) Assert.Equal(reference.Greedy, (await Capitals.Run(model, reference.Ids, Capitals.Greedy)).Ids);
        }
    });

    [TestGpusFact]
    public Task A_store_that_is_pinned_in_place_is_pinned_part_by_part_while_it_is_filled() => TestGpus.Run(["64000000=", "64000000"], static async () =>
    {
        using TempFolder folder = Write("LlamaForCausalLM", layers: 7);
        foreach ((string devices, OffloadMode offload) in ((string, OffloadMode)[])[("0* 1*", OffloadMode.Stream), ("0* 1* cpu", OffloadMode.Hybrid), ("0 1 cpu", OffloadMode.Cpu)])
        {
            await using BigModel whole = await BigModel.LoadAsync(folder.Path, Exact());
            PlanOptions options = Exact() with { MaxMemory = Limits(Room(whole.Plan.Devices[0], 0.3), Room(whole.Plan.Devices[0], 0.5)), Offload = offload };
            ConcurrentBag<long> parts = [];
            await using (BigModel model = await BigModel.LoadAsync(folder.Path, options, new Now(step => parts.Add(step.BytesDone < step.BytesTotal ? Told("test_gpus_pinned_parts") : 0))))
            {
                Assert.Equal(devices, Devices(model.Plan));
                Assert.InRange(parts.Max(), 1, Told("test_gpus_pinned_parts"));
                Assert.NotEqual(false, model.Streaming?.Pinned);
                Assert.Equal(await Capitals.Logits(whole, s_ids), await Capitals.Logits(model, s_ids));
            }
            Assert.Equal(0, Told("test_gpus_pinned_parts"));
        }
    });

    [TestGpusFact]
    public Task A_load_that_is_cancelled_leaves_nothing_pinned() => TestGpus.Run(s_gpus, static () =>
    {
        using TempFolder folder = Write("LlamaForCausalLM", layers: 7);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        Plan plan = checkpoint.Plan(Machine.Probe(), Exact());
        using var cancel = new CancellationTokenSource();
        ConcurrentBag<long> pinned = [];
        var progress = new Now(step =>
        {
            pinned.Add(Told("test_gpus_pinned"));
            if (step.BytesDone * 2 > step.BytesTotal) cancel.Cancel();
        });
        Assert.Throws<OperationCanceledException>(() => EngineModel.Load(checkpoint.Define(plan.WeightType), plan, progress, cancel.Token));
        Assert.Equal((true, 0), (pinned.Max() > 0, Told("test_gpus_pinned")));
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task Each_is_measured_by_what_it_has_room_for() => TestGpus.Run(["250000000", "2000000000"], static () =>
    {
        using var folder = new TempFolder();
        EngineLibrary.Load();
        MachineSpeeds speeds = MachineCalibration.Measure(EngineDevices.Gpus(), folder.Path, TimeSpan.FromMilliseconds(10), null, default);
        Assert.Equal([("TWIN0", false), ("TWIN1", true)], speeds.Gpus.Select(gpu => (gpu.Name, gpu.CrossingSeconds is >= 0)));
        Assert.All(speeds.Gpus, gpu => Assert.True(gpu is { ToDevice: > 0, ToDeviceTogether: > 0, Matrices.LayerSeconds: >= 0 }, $"{gpu}"));
        return Task.CompletedTask;
    });

    // A megabyte, and more than is read at once.
    [TestGpusFact]
    public Task Memory_that_files_are_read_into_is_planned_to_the_byte() => TestGpus.Run(["128000000", "128000000"], static () =>
    {
        foreach (int feedForward in (int[])[2_000, 30_000])
        {
            using var folder = new TempFolder();
            new TinyModel("LlamaForCausalLM") { Layers = 4, Hidden = Hidden, FeedForward = feedForward, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
            Checkpoint checkpoint = Checkpoint.Open(folder.Path);
            PlanOptions options = new() { WeightType = WeightType.AsStored, ContextLength = 64, BatchSize = 64, Offload = OffloadMode.Disk, RingLayers = 1, OffloadFolder = folder["offload"] };
            Plan plan = checkpoint.Plan(Machine.Probe() with { HostFreeBytes = 1 << 30 }, options);
            EnginePlacement placement = EnginePlacement.Of(plan, checkpoint.Describe(plan.WeightType).Tensors);
            using EngineModel model = EngineModel.Load(checkpoint.Define(plan.WeightType), placement, plan, null, default);
            long planned = plan.Devices.Single(device => device.Name == DeviceName.Host).StagingBytes;
            Assert.Equal((planned, true), (placement.Streams.Values.Sum(device => (long)device.Stats.StagingBytes), planned > 0));
        }
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task Every_GPU_holds_the_bytes_that_the_plan_says_and_needs_no_more_in_40_configurations() => TestGpus.Run(s_small, static () =>
    {
        var random = new Random(6);
        int loaded = 0, onTwo = 0;
        while (loaded < 40)
        {
            using TempFolder folder = Write(s_models[random.Next(s_models.Length)], layers: random.Next(1, 12));
            Checkpoint checkpoint = Checkpoint.Open(folder.Path);
            PlanOptions options = Random(random) with { OffloadFolder = folder["offload"] };
            Plan plan;
            try { plan = checkpoint.Plan(Machine.Probe() with { HostFreeBytes = 1 << 30 }, options); }
            catch (DoesNotFitException) { continue; }
            loaded++;
            string what = $"{options} {string.Join(',', options.MaxMemory?.Gpus.Values ?? [])} {Devices(plan)}";
            Assert.True(plan.ComputeMeasured, what);
            long[] planned = OnGpus(plan, device => device.TotalBytes);
            onTwo += planned.Count(bytes => bytes > 0) > 1 ? 1 : 0;
            using var filling = new Filling(planned);
            using var allocation = new Allocation(checkpoint, plan);
            allocation.Compute(int.MaxValue);
            long[] taken = filling.Taken();
            Dictionary<string, DevicePlan> held = allocation.Held.ToDictionary(device => device.Name);
            Assert.Equal(plan.Devices.Sum(device => device.StagingBytes), allocation.Held.Sum(device => device.StagingBytes));
            foreach (DevicePlan device in plan.Devices.Where(device => device.TotalBytes > 0 && device.Name != DeviceName.Disk))
            {
                long compute = held.GetValueOrDefault(device.Name)?.ComputeBytes ?? 0, kv = held.GetValueOrDefault(device.Name)?.KvBytes ?? 0;
                Assert.True(kv == device.KvBytes, $"{what}: {device.Name} holds {kv} bytes of keys and values, planned {device.KvBytes}");
                // To the byte, but where several devices compute: what passes between them may be planned for more often than it is there.
                long passing = planned.Count(bytes => bytes > 0) > 1 || Devices(plan).Contains("cpu*", StringComparison.Ordinal) ? 5L * Math.Min(plan.BatchSize, plan.Sessions * plan.ContextLength) * Hidden * sizeof(float) : 0;
                Assert.True(compute <= device.ComputeBytes && compute >= device.ComputeBytes - passing, $"{what}: {device.Name} computes in {compute} bytes, planned {device.ComputeBytes}, {passing} of them may be too many");
                if (DeviceName.GpuIndex(device.Name) is { } gpu)
                    Assert.True(taken[gpu] == device.TotalBytes - device.ComputeBytes + compute, $"{what}: GPU {gpu} gave {taken[gpu]} bytes, planned {device.TotalBytes}");
            }
        }
        Assert.InRange(onTwo, 8, 40);
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public Task A_GPU_that_gives_less_than_planned_ends_the_load_and_gets_back_all_it_gave() => TestGpus.Run(s_small, static () =>
    {
        foreach ((string devices, PlanOptions options) in s_spreads)
        {
            Checkpoint checkpoint = Checkpoint.Open(TestFolders.Capitals);
            Plan plan = checkpoint.Plan(Machine.Probe(), options);
            Assert.Equal(devices, Devices(plan));
            ModelDefinition definition = checkpoint.Define(plan.WeightType);
            for (int gpu = 0; gpu < s_gpus.Length; gpu++)
                for (int step = 0; step < 6; step++)
                {
                    // From nothing to a quarter of what is computed in; with more llama.cpp may do, where it planned for GPUs that compute at once.
                    long little = OnGpus(plan, device => device.TotalBytes - device.ComputeBytes * 3 / 4)[gpu] * step / 5;
                    using var filling = new Filling([.. OnGpus(plan, device => device.TotalBytes).Select((bytes, i) => i == gpu ? little : bytes)]);
                    var refused = Assert.Throws<EngineException>(() =>
                    {
                        using EngineModel model = EngineModel.Load(definition, plan, null, default);
                        using EngineContext context = EngineContext.Create(model, plan, KvCache.SharesCells(definition.Shape, plan.Sessions), 1);
                    });
                    Assert.Contains($"TWIN{gpu}", refused.Message, StringComparison.Ordinal);
                    Assert.Equal([0, 0], filling.Taken());
                }
        }
        return Task.CompletedTask;
    });

    [TestGpusFact]
    public async Task Nbm_lists_them_plans_for_what_is_free_on_them_and_answers()
    {
        Dictionary<string, string> gpus = TestGpus.Environment("6000000", "7000000");
        Task<Tool.Result> Nbm(params string[] arguments) => Tool.Run("nbm.dll", arguments, environment: gpus);
        Tool.Result doctor = await Nbm("doctor");
        Assert.Matches("GPU 0 +a GPU that is not there .TWIN0., 5.72 MiB free of 5.72 MiB", doctor.Output);
        Assert.Matches("GPU 1 +a GPU that is not there .TWIN1., 6.68 MiB free of 6.68 MiB", doctor.Output);
        string[] model = [TestFolders.Capitals, "--context", "256", "--json"];
        Tool.Result planned = await Nbm(["plan", .. model]);
        JsonElement[] devices = [.. JsonDocument.Parse(planned.Output).RootElement.GetProperty("devices").EnumerateArray()];
        Assert.Equal([("0", 6_000_000L), ("1", 7_000_000)], devices[..2].Select(device => (device.GetProperty("name").GetString(), device.GetProperty("limit").GetInt64())));
        Assert.All(devices[..2], device => Assert.InRange(device.GetProperty("total").GetInt64(), 1_000_000, device.GetProperty("limit").GetInt64()));
        Tool.Result run = await Nbm(["run", .. model, "--prompt", Capitals.UnitedStates, "--temperature", "0"]);
        Assert.Contains("Washington, D.C.", run.Output, StringComparison.Ordinal);
    }

    [TestGpusFact]
    public async Task Nbm_says_in_one_line_what_a_GPU_lacks()
    {
        string[] run = ["run", TestFolders.Capitals, "--context", "256", "--prompt", "x"];
        async Task<(int Code, string Error)> Nbm(string[] gpus, params string[] arguments)
        {
            Tool.Result result = await Tool.Run("nbm.dll", [.. run, .. arguments], environment: TestGpus.Environment(gpus));
            return (result.ExitCode, result.ErrorLines.Single());
        }
        (int code, string error) = await Nbm(["5000000", "64000000"], "--max-memory", "0=1GB,cpu=1GB");
        Assert.Equal(4, code);
        Assert.Matches("^error: GPU 0: [1-9][0-9]{7} bytes are needed and 5000000 are allowed", error);
        (code, error) = await Nbm(["64000000", "64000000"], "--max-memory", "2=1GB,cpu=1GB");
        Assert.Equal((5, "error: the plan uses GPU 2, and the engine sees 2"), (code, error));
        (code, error) = await Nbm(["64000000/8000000"]);
        Assert.Equal(5, code);
        Assert.Matches("TWIN0: refused [0-9]+ bytes: [0-9]+ of 8000000 are taken", error);
        (code, error) = await Nbm(["64000000/1000000"], "--offload", "stream");
        Assert.Equal(5, code);
        Assert.Matches("TWIN0: refused [0-9]+ bytes for the ring", error);
    }

    /// <summary>
    /// Loads a model of float32 weights onto these devices: the bytes of the matrices and of the vectors that GPUs hold, and those that they were handed out of pinned
    /// memory and out of other. When the model is gone nothing is pinned.
    /// </summary>
    private static (long Matrices, long Vectors, long Pinned, long Other) Handed(string devices, WeightType type)
    {
        using TempFolder folder = Write("LlamaForCausalLM", layers: 7);
        Checkpoint checkpoint = Checkpoint.Open(folder.Path);
        PlanOptions options = Exact() with { WeightType = type };
        DevicePlan whole = checkpoint.Plan(Machine.Probe(), options).Devices[0];
        double share = devices switch { "0" => 1, "0 1" => 0.95, _ => 0.3 };
        Plan plan = checkpoint.Plan(Machine.Probe(), options with { MaxMemory = Limits(Room(whole, share), devices == "0" ? 0 : Room(whole, share)) });
        Assert.Equal(devices, Devices(plan));
        ModelDefinition definition = checkpoint.Define(type);
        HashSet<string> onGpus = [.. plan.Layers.Where(layer => DeviceName.GpuIndex(layer.Device) is not null).Select(layer => layer.Name)];
        ILookup<bool, long> bytes = definition.Tensors.Where(tensor => onGpus.Contains(ItemName.Of(tensor.Spec, plan.SplitsLayers))).ToLookup(tensor => tensor.Spec.Dimensions.Length > 1, tensor => tensor.Spec.Bytes);
        (long pinned, long other) = (Told("test_gpus_set_pinned"), Told("test_gpus_set_other"));
        EngineModel.Load(definition, plan, null, default).Dispose();
        Assert.Equal(0, Told("test_gpus_pinned"));
        return (bytes[true].Sum(), bytes[false].Sum(), Told("test_gpus_set_pinned") - pinned, Told("test_gpus_set_other") - other);
    }

    /// <summary>What native/tests/gpus.h says of the copies so far.</summary>
    private static unsafe long Told(string name) =>
        ((delegate* unmanaged[Cdecl]<long>)GgmlGraphApi.GgmlBackendRegGetProcAddress(GgmlGraphApi.GgmlBackendDevBackendReg((GgmlBackendDevice*)EngineDevices.Gpus()[0]), name))();

    private static PlanOptions Random(Random random)
    {
        long? Limit(int never) => random.Next(never) == 0 ? null : (long)(3e5 + random.NextDouble() * 2.5e6);
        bool flash = random.Next(3) > 0;
        return new()
        {
            ContextLength = random.Next(1, 200),
            BatchSize = random.Next(4) == 0 ? null : random.Next(1, 600),
            Sessions = random.Next(3) == 0 ? random.Next(1, 5) : 1,
            KvType = s_caches[random.Next(flash ? s_caches.Length : 2)],
            WeightType = s_types[random.Next(s_types.Length)],
            RingLayers = random.Next(3) == 0 ? null : 1 + random.NextDouble() * 4,
            Offload = (OffloadMode)random.Next(4),
            CpuShare = random.NextDouble(),
            FlashAttention = flash,
            MaxMemory = random.Next(8) == 0 ? null : Limits(Limit(10) ?? 0, Limit(10) ?? 0) with { Host = random.Next(4) == 0 ? Limit(9) : 1 << 28 },
        };
    }

    private static long[] OnGpus(Plan plan, Func<DevicePlan, long> bytes) => [.. s_gpus.Select((_, gpu) => plan.Devices.Where(device => device.Name == DeviceName.Gpu(gpu)).Sum(bytes))];

    /// <summary>Takes what a GPU has but for so many bytes.</summary>
    private sealed unsafe class Filling : IDisposable
    {
        private readonly List<nint> _buffers = [];
        private readonly long[] _free;

        public Filling(IReadOnlyList<long> left)
        {
            Assert.All(EngineDevices.Gpus().Select(EngineDevices.Describe), gpu => Assert.Equal(gpu.TotalBytes, gpu.FreeBytes));
            foreach ((nint device, long bytes) in EngineDevices.Gpus().Zip(left))
            {
                GgmlBackendBufferType* type = GgmlBackendApi.GgmlBackendDevBufferType((GgmlBackendDevice*)device);
                _buffers.Add((nint)GgmlGraphApi.GgmlBackendBuftAllocBuffer(type, (nuint)(EngineDevices.Describe(device).FreeBytes - bytes)));
            }
            _free = Free();
        }

        /// <summary>Bytes that each has given since.</summary>
        public long[] Taken() => [.. _free.Zip(Free(), (before, now) => before - now)];

        private static long[] Free() => [.. EngineDevices.Gpus().Select(gpu => EngineDevices.Describe(gpu).FreeBytes)];

        public void Dispose() => _buffers.ForEach(buffer => GgmlGraphApi.GgmlBackendBufferFree((GgmlBackendBuffer*)buffer));
    }

    /// <summary>The devices that compute, with a star where layers stream to them.</summary>
    private static string Devices(Plan plan) => string.Join(' ', plan.Layers.Where(layer => layer.Name != Item.Input)
        .GroupBy(layer => layer.ComputeDevice).OrderBy(device => device.Key, StringComparer.Ordinal).Select(device => device.Key + (device.Any(layer => layer.Streamed) ? "*" : "")));

    private static long Room(DevicePlan whole, double share) => share == 0 ? 0 : whole.ComputeBytes + (long)(share * (whole.TotalBytes - whole.ComputeBytes));

    private static MemoryLimits Limits(params long[] gpus) => new() { Gpus = gpus.Select((bytes, gpu) => KeyValuePair.Create(gpu, bytes)).Where(gpu => gpu.Value > 0).ToImmutableSortedDictionary(), Host = 1 << 30 };

    private static PlanOptions Spread(long first, long second, OffloadMode offload = OffloadMode.Cpu) =>
        Capitals.Small() with { MaxMemory = Limits(first, second), BatchSize = 64, Sessions = 2, Offload = offload, Threads = 1 };

    private static PlanOptions Exact() => Capitals.Exact(64) with { WeightType = WeightType.AsStored, MaxMemory = Limits(64_000_000), Threads = 1 };

    private static TempFolder Write(string model, int layers, int wide = 1)
    {
        var folder = new TempFolder();
        new TinyModel(model) { Layers = layers, Hidden = wide * Hidden, FeedForward = wide * 192, KvHeads = 2, HeadLength = 32 }.Write(folder.Path);
        return folder;
    }
}
