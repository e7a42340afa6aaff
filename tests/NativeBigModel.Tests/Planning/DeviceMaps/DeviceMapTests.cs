using System.Collections.Immutable;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Tests.Planning.DeviceMaps;

/// <summary>Device maps become plans that llama.cpp can carry out, and say where they differ.</summary>
public class DeviceMapTests
{
    private static readonly ModelShape s_untied = Shape(tied: false), s_tied = Shape(tied: true);

    private static readonly Machine s_nothing = new([], 0);

    public static TheoryData<string> Strategies => [.. DeviceMap.Strategies.Keys];

    // The tree written down as transformers has it, by its own names.
    [Theory]
    [MemberData(nameof(Strategies))]
    public void A_strategy_puts_the_layers_where_accelerate_does(string name)
    {
        var tiny = new TinyModel("LlamaForCausalLM") { Layers = 10 };
        var tree = new ModuleTree(Nested("", "", [.. tiny.Tensors().OrderBy(Registered).Select(tensor => (tensor.Name, Bytes(tensor)))]), []);
        var options = new InferenceOptions { Whole = new HashSet<string> { "LlamaDecoderLayer" } };
        foreach (long gpu in (long[])[5_000_000, 8_000_000, 12_000_000])
        {
            MemoryLimits limits = Limits(1L << 30, gpu, gpu, gpu), caps = name == "sequential" ? limits
                : BalancedMemory.Of(tree, new(tree), limits, given: true, options.Whole, lowZero: name == "balanced_low_0");
            ModuleDevices accelerate = DeviceInference.Infer(tree, caps, options).Devices;
            // A cache of one block of tokens is small against the room that the limits leave.
            Plan plan = Plan(Describe(tiny), limits, DeviceMap.Strategies[name]);
            foreach (LayerPlacement layer in plan.Layers[1..^1]) Assert.Equal(accelerate.DeviceOf($"model.layers.{layer.Name[4..]}"), layer.Device);
            Assert.Equal(accelerate.DeviceOf("lm_head"), plan.Layers[^1].Device);
            DeviceMap answer = DeviceMap.Strategies[name].Infer(Describe(tiny), s_nothing, limits);
            Assert.Equal(accelerate.Entries.AsEnumerable(), answer.Entries);
            Assert.Equal(answer.Entries.AsEnumerable(), DeviceMap.FromJson(answer.ToJson()).Entries);
        }
    }

    [Fact]
    public void An_answer_lists_layers_in_their_order_and_one_device_in_one_entry()
    {
        ModelShape model = Models.Llama(11, 64, 128, 4, 2, 100, TensorType.F16);
        long layer = model.Tensors.Where(tensor => tensor.Layer == 0).Sum(tensor => tensor.Bytes);
        string json = DeviceMap.Sequential.Infer(model, s_nothing, Limits(1 << 30, 11 * layer)).ToJson();
        Assert.True(json.IndexOf("layers.2\"", StringComparison.Ordinal) < json.IndexOf("layers.10\"", StringComparison.Ordinal), json);
        Assert.Equal("{\n  \"\": 0\n}", DeviceMap.Sequential.Infer(model, s_nothing, Limits(1 << 30, 1 << 30)).ToJson());
        // Of the only GPU's free memory a tenth is left alone, where nobody gave a limit.
        Machine machine = new([new("GPU0", "GPU", 11 * layer, 11 * layer)], 1 << 30);
        Assert.Equal(DeviceMap.Auto.Infer(model, s_nothing, Limits(1 << 30, 11 * layer * 9 / 10)).Entries.AsEnumerable(), DeviceMap.Auto.Infer(model, machine).Entries);
    }

    // accelerate with max_memory {0: embedding and a layer, "cpu": ...} answers this with fallback_allocation, and has all on the CPU without: the embedding does not fit beside room for itself.
    [Fact]
    public void A_fallback_gives_an_empty_device_a_later_module()
    {
        ModelShape model = Models.Llama(3, 64, 128, 4, 2, 10_000, TensorType.F16);
        long embedding = model.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Bytes, layer = model.Tensors.Where(tensor => tensor.Layer == 0).Sum(tensor => tensor.Bytes);
        MemoryLimits limits = Limits(1 << 30, embedding + layer);
        Assert.Equal([KeyValuePair.Create("", "cpu")], DeviceMap.Sequential.Infer(model, s_nothing, limits).Entries);
        DeviceMap fallback = DeviceMap.Sequential with { FallbackAllocation = true };
        Assert.Equal(["lm_head cpu", "model.embed_tokens cpu", "model.layers.0 0", "model.layers.1 cpu", "model.layers.2 cpu", "model.norm cpu"], fallback.Infer(model, s_nothing, limits).Entries.Select(entry => $"{entry.Key} {entry.Value}"));
        Assert.Equal([("0", "0"), ("cpu", "cpu"), ("cpu", "cpu"), ("cpu", "cpu")], Places(Plan(model, limits, fallback)));
    }

    [Fact]
    public void A_map_by_name_is_checked_and_comes_back_by_Hugging_Faces_names()
    {
        DeviceMap answer = DeviceMap.Of([new("blk", "1"), new("output", "cpu"), new("token_embd", "0"), new("output_norm", "1")]).Infer(s_untied, s_nothing, Limits(1, 1, 1));
        Assert.Equal(["lm_head cpu", "model.embed_tokens 0", "model.layers 1", "model.norm 1"], answer.Entries.Select(entry => $"{entry.Key} {entry.Value}"));
        Assert.Contains("no device", Assert.Throws<InvalidOptionException>(() => DeviceMap.Of([new("blk", "1")]).Infer(s_untied, s_nothing, Limits(1, 1, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("GPU 1", Assert.Throws<InvalidOptionException>(() => DeviceMap.Of([new("", "1")]).Infer(s_untied, s_nothing, Limits(1, 1))).Message, StringComparison.Ordinal);
        Assert.Contains("no module", Assert.Throws<InvalidOptionException>(() => DeviceMap.Of([new("", "cpu"), new("model.layers.99", "0")]).Infer(s_untied, s_nothing, Limits(1, 1))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_strategy_gives_a_plan_within_the_limits_that_llama_cpp_can_carry_out() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(
        (from one in PlannerTests.Cases.Generator from name in Gen.Elements(DeviceMap.Strategies.Keys.ToArray()) select (one, name)).ToArbitrary(), both =>
        {
            (var (shape, limits, offload), string name) = both;
            Plan plan;
            try { plan = Plan(shape, limits, DeviceMap.Strategies[name], offload); }
            catch (DoesNotFitException error)
            {
                Assert.True(error.NeededBytes > error.LimitBytes);
                return;
            }
            catch (InvalidOptionException) when (name == "balanced_low_0" && !limits.Gpus.ContainsKey(0)) { return; }
            Assert.Equal(["input", .. Enumerable.Range(0, shape.Layers.Length).Select(i => $"blk.{i}"), "output"], plan.Layers.Select(layer => layer.Name));
            string[] computing = [.. plan.Layers.Skip(1).Select(layer => layer.ComputeDevice)];
            Assert.Equal(computing.Distinct().Count(), 1 + computing.Zip(computing.Skip(1)).Count(pair => pair.First != pair.Second));
            Assert.All(plan.Layers, layer => Assert.Equal(layer.Streamed, layer.Device != layer.ComputeDevice));
            Assert.DoesNotContain(DeviceName.Disk, computing);
            foreach (DevicePlan device in plan.Devices)
            {
                Assert.Equal(plan.Layers.Where(layer => layer.Device == device.Name).Sum(layer => layer.WeightBytes), device.WeightBytes);
                Assert.Equal(plan.Layers.Where(layer => layer.ComputeDevice == device.Name).Sum(layer => layer.KvBytes), device.KvBytes);
                Assert.Equal(plan.Layers.Any(layer => layer.Streamed && layer.ComputeDevice == device.Name), device.RingBytes > 0);
                Assert.True(device.TotalBytes <= (device.LimitBytes ?? long.MaxValue), $"{device}");
            }
            Assert.Equal(plan, Plan(shape, limits, DeviceMap.Strategies[name], offload));
        }));

    [Theory]
    [InlineData("""{"": 0}""", "0000")]
    [InlineData("""{"model.embed_tokens": "cpu", "model.layers.0": 0, "model.layers.1": 1, "model.norm": 1, "lm_head": 1}""", "c011")]
    [InlineData("""{"token_embd": "cpu", "blk.0": "cuda:1", "blk.1": "0", "output_norm": 0, "output": 0}""", "c100")]
    [InlineData("""{"model": 0, "model.layers.1": "cpu", "output": "cpu", "output_norm": "cpu"}""", "00cc")]
    [InlineData("""{"": "cpu", "blk": 1, "output": 1, "model.norm": 1}""", "c111")]
    [InlineData("""{"": "cpu", "model.layers.0.self_attn": 0, "model.layers.0.mlp": 0, "model.layers.0.input_layernorm": 0, "blk.0.ffn_norm": 0}""", "c0cc")]
    public void A_map_by_name_is_followed(string json, string devices)
    {
        Plan plan = Plan(s_untied, Limits(1 << 30, 1 << 30, 1 << 30), DeviceMap.FromJson(json));
        // Only the embedding may be elsewhere than the map says.
        Assert.Equal(devices[1..], string.Concat(plan.Layers.Skip(1).Select(layer => layer.Device[0])));
        Assert.Equal("cpu", plan.Layers[0].Device);
        Assert.Equal(devices[0] == 'c' ? 0 : 1, plan.Notes.Length);
    }

    [Fact]
    public void Host_memory_that_may_not_be_used_is_no_device_of_a_map()
    {
        var error = Assert.Throws<InvalidOptionException>(() => Plan(s_untied, Limits(1 << 30, 1 << 30) with { Host = null }, DeviceMap.Of([new("", "0"), new("blk.1", "cpu")])));
        Assert.Contains("'blk.1' is on cpu, and the plan may use GPU 0, disk", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"": 0, "blk.2": 0}""", "'blk.2' is no module of this model, which has 2 layers")]
    [InlineData("""{"": 0, "model.layer.0": 0}""", "'model.layer.0' is no module")]
    [InlineData("""{"": 0, "blk.0.ffn": 0}""", "'blk.0.ffn' is no module")]
    [InlineData("""{"model.layers": 0}""", "have no device, the first of them model.embed_tokens.weight")]
    [InlineData("""{}""", "21 of 21 tensors have no device")]
    [InlineData("""{"": 0, "blk.0": 1, "model.layers.0": "cpu"}""", "both name model.layers.0")]
    [InlineData("""{"": 0, "blk.0": 1, "blk.0": 1}""", "not valid JSON")]
    [InlineData("""{"": 2}""", "on GPU 2, and the plan may use GPU 0, GPU 1, cpu, disk")]
    [InlineData("""{"": "tpu"}""", "'' is on 'tpu'")]
    [InlineData("""{"": -1}""", "'' is on '-1'")]
    [InlineData("""{"": null}""", "'' is on ''")]
    [InlineData("""{"": 0.5}""", "'' is on '0.5'")]
    [InlineData("""{"": {"a": 0}}""", "'' is on '{\"a\": 0}'")]
    [InlineData("""["": 0]""", "not valid JSON")]
    [InlineData("""[0]""", "Array where an object")]
    [InlineData("", "not valid JSON")]
    [InlineData("""{"\ud800": 0}""", "not valid JSON")]
    [InlineData("""{"": 0, "model.layers.0.mlp": 1}""", "llama.cpp computes a layer on one device")]
    [InlineData("""{"": 0, "blk.0.attn_q": "cpu"}""", "model.layers.0.self_attn.q_proj.weight on cpu")]
    public void What_no_plan_can_follow_is_refused_by_name(string json, string problem)
    {
        var error = Assert.Throws<InvalidOptionException>(() => Plan(s_untied, Limits(1 << 30, 1 << 30, 1 << 30), DeviceMap.FromJson(json)));
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    // Graphs that only llama.cpp knows: the modules that all decoders have, and GGUF's names.
    [Theory]
    [InlineData("""{"model.embed_tokens": 0, "blk": 0, "model.layers.2": 1, "output_norm": 1, "lm_head": 1}""", "0011")]
    [InlineData("""{"": "cpu", "blk.0.attn_qkv.weight": 0, "model.layers.0.ffn_up": 0}""", "0ccc")]
    public void A_graph_of_unknown_names_is_mapped_too(string json, string devices) =>
        Assert.Equal(devices, string.Concat(Plan(Foreign(), Limits(1 << 30, 1 << 30, 1 << 30), DeviceMap.FromJson(json)).Layers.Skip(1).Select(layer => layer.Device[0])));

    [Theory]
    [MemberData(nameof(Strategies))]
    public void Layers_and_ends_without_tensors_have_a_place(string name)
    {
        ModelShape whole = Foreign();
        for (int missing = 0; missing < whole.Tensors.Length; missing++)
        {
            foreach (string left in (string[])["token_embd", "output", "blk.1.", "blk.0.", "blk.", "output_norm"])
            {
                ModelShape shape = whole with { Tensors = [.. whole.Tensors.Where((tensor, i) => i != missing && !tensor.Name.StartsWith(left, StringComparison.Ordinal))] };
                Assert.Equal(5, Plan(shape, Limits(1 << 30, 1 << 20, 1 << 20), DeviceMap.Strategies[name]).Layers.Length);
            }
        }
    }

    [Fact]
    public void A_device_computes_layers_that_follow_each_other_or_the_map_is_refused()
    {
        ModelShape shape = Describe(new("LlamaForCausalLM") { Layers = 4 });
        MemoryLimits limits = Limits(1 << 30, 1 << 30, 1 << 30);
        DeviceMap between = DeviceMap.Of([new("", "0"), new("blk.1", "1")]);
        Assert.Contains("GPU 0 computes blk.2 and earlier layers, but not blk.1", Assert.Throws<InvalidOptionException>(() => Plan(shape, limits, between)).Message, StringComparison.Ordinal);
        // What is streamed is computed where it keeps the others together: here on GPU 0, between its own layers.
        DeviceMap streamed = DeviceMap.Of([new("", "1"), new("blk.0", "0"), new("blk.1", "cpu"), new("blk.2", "0")]);
        Assert.Equal(["0", "0", "0", "1", "1"], Plan(shape, limits, streamed, OffloadMode.Stream).Layers.Skip(1).Select(layer => layer.ComputeDevice));
        Assert.Equal(["0", "cpu", "0", "1", "1"], Plan(shape, limits, streamed, OffloadMode.Stream).Layers.Skip(1).Select(layer => layer.Device));
    }

    [Fact]
    public void Offloading_decides_what_cpu_and_disk_mean()
    {
        MemoryLimits limits = Limits(1 << 30, 1 << 30);
        DeviceMap map = DeviceMap.Of([new("", "0"), new("blk.1", "cpu"), new("model.norm", "disk"), new("lm_head", "disk")]);
        Assert.Equal([("0", "0"), ("cpu", "cpu"), ("disk", "cpu")], Places(Plan(s_untied, limits, map)));
        Assert.Equal([("0", "0"), ("cpu", "0"), ("disk", "0")], Places(Plan(s_untied, limits, map, OffloadMode.Stream)));
        Assert.Contains("stay on disk", Assert.Throws<InvalidOptionException>(() => Plan(s_untied, limits, map, OffloadMode.Disk)).Message, StringComparison.Ordinal);
        // A tied output is a copy of the embedding, which rests where it is computed.
        Assert.Equal([("0", "0"), ("cpu", "0"), ("0", "0")], Places(Plan(s_tied, limits, map, OffloadMode.Stream)));
    }

    [Fact]
    public void A_tied_output_goes_with_the_last_layer_and_the_plan_says_so()
    {
        MemoryLimits limits = Limits(1 << 30, 1 << 30, 1 << 30);
        Plan plan = Plan(s_tied, limits, DeviceMap.Of([new("", "0"), new("blk.1", "1")]));
        Assert.Equal("1", plan.Layers[^1].Device);
        Assert.Contains(plan.Notes, note => note.Contains("lm_head on GPU 0", StringComparison.Ordinal));
        long embedding = s_tied.Tensors.Single(tensor => tensor.Name == "token_embd.weight").Bytes;
        Assert.Equal(s_tied.WeightBytes + embedding, plan.Layers.Sum(layer => layer.WeightBytes));
    }

    [Fact]
    public void A_map_by_name_must_fit()
    {
        var error = Assert.Throws<DoesNotFitException>(() => Plan(s_untied, Limits(1 << 30, 1 << 20), DeviceMap.Of([new("", "0")])));
        Assert.Equal((1 << 20, "0"), (error.LimitBytes, error.Device));
        Assert.True(error.NeededBytes > 1 << 20);
    }

    private static IEnumerable<(string, string)> Places(Plan plan) => plan.Layers.Skip(1).Select(layer => (layer.Device, layer.ComputeDevice));

    private static Plan Plan(ModelShape shape, MemoryLimits limits, DeviceMap map, OffloadMode offload = OffloadMode.Cpu) =>
        Planner.Plan(shape, s_nothing, new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = limits, DeviceMap = map, Offload = offload });

    private static MemoryLimits Limits(long host, params long[] gpus) =>
        new() { Gpus = gpus.Select((bytes, i) => KeyValuePair.Create(i, bytes)).ToImmutableSortedDictionary(), Host = host };

    private static ModelShape Foreign() => new()
    {
        Architecture = "unheard-of", Name = "foreign", EmbeddingLength = 64, VocabularySize = 100, ContextLength = 512, Layers = [.. Enumerable.Repeat(new LayerShape(2, 1, 32, 32, 256), 3)],
        Tensors =
        [
            new("token_embd.weight", [64, 100], TensorType.F32), new("output_norm.weight", [64], TensorType.F32), new("output_norm.bias", [64], TensorType.F32), new("output.weight", [64, 100], TensorType.F32),
            .. Enumerable.Range(0, 3).SelectMany(i => (TensorSpec[])[new($"blk.{i}.attn_qkv.weight", [64, 128], TensorType.F32), new($"blk.{i}.ffn_up.weight", [64, 256], TensorType.F32)]),
        ],
    };

    private static ModelShape Shape(bool tied) => Describe(new("LlamaForCausalLM") { Tied = tied });

    private static ModelShape Describe(TinyModel tiny)
    {
        using var folder = new TempFolder();
        tiny.Write(folder.Path);
        return Checkpoint.Open(folder.Path).Describe();
    }

    private static long Bytes((string Name, long[] Shape) tensor) => tensor.Shape.Aggregate(4L, (product, extent) => product * extent);

    private static int Registered((string Name, long[] Shape) tensor) => tensor.Name switch
    {
        "model.embed_tokens.weight" => 0,
        "model.norm.weight" => 2,
        "lm_head.weight" => 3,
        _ => 1,
    };

    private static Module Nested(string name, string path, (string Path, long Bytes)[] tensors)
    {
        string Rest(string tensor) => path.Length == 0 ? tensor : tensor[(path.Length + 1)..];
        bool layer = path.StartsWith("model.layers.", StringComparison.Ordinal) && path.Count(c => c == '.') == 2;
        return new(name, layer ? "LlamaDecoderLayer" : "Module",
            [.. tensors.Where(tensor => !Rest(tensor.Path).Contains('.', StringComparison.Ordinal)).Select(tensor => new ModuleTensor(Rest(tensor.Path), tensor.Bytes))], [],
            [.. tensors.Where(tensor => Rest(tensor.Path).Contains('.', StringComparison.Ordinal)).GroupBy(tensor => Rest(tensor.Path).Split('.')[0])
                .Select(child => Nested(child.Key, ModuleTree.Join(path, child.Key), [.. child]))]);
    }
}
