using System.Text.Json;
using NativeBigModel.Planning;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Tests.Planning.DeviceMaps;

/// <summary>The planner gives accelerate's answers.</summary>
public class AccelerateTests
{
    public static TheoryData<string> Inferences => AccelerateCases.OfKind("infer_auto_device_map");
    public static TheoryData<string> Balances => AccelerateCases.OfKind("get_balanced_memory");
    public static TheoryData<string> Sizes => AccelerateCases.OfKind("compute_module_sizes");
    public static TheoryData<string> BufferTotals => AccelerateCases.OfKind("compute_module_total_buffer_size");
    public static TheoryData<string> Ties => AccelerateCases.OfKind("find_tied_parameters");
    public static TheoryData<string> TiedSizes => AccelerateCases.OfKind("get_module_size_with_ties");
    public static TheoryData<string> Cleanings => AccelerateCases.OfKind("clean_device_map");
    public static TheoryData<string> Checks => AccelerateCases.OfKind("check_device_map");
    public static TheoryData<string> Texts => AccelerateCases.OfKind("parse_size");
    public static TheoryData<string> Types => AccelerateCases.OfKind("dtype_byte_size");
    public static TheoryData<string> Residencies => AccelerateCases.OfKind("residency");

    [Fact]
    public void Every_case_has_its_test()
    {
        int covered = new[] { Inferences, Balances, Sizes, BufferTotals, Ties, TiedSizes, Cleanings, Checks, Texts, Types, Residencies }.Sum(cases => cases.Count);
        // accelerate refuses to move a model of which parts are offloaded; a plan that was carried out has no such operation.
        Assert.Single(AccelerateCases.OfKind("dispatch_error"));
        Assert.Equal(81, AccelerateCases.Count);
        Assert.Equal(80, covered);
    }

    [Theory]
    [MemberData(nameof(Inferences))]
    public void Modules_go_where_accelerate_puts_them(string name)
    {
        JsonElement one = AccelerateCases.Find(name), options = one.GetProperty("options");
        InferredDevices answer = DeviceInference.Infer(AccelerateCases.Tree(one), AccelerateCases.Limits(one.GetProperty("max_memory")), new()
        {
            Whole = AccelerateCases.Whole(one),
            Clean = options.GetProperty("clean_result").GetBoolean(),
            OffloadBuffers = options.GetProperty("offload_buffers").GetBoolean(),
            Fallback = options.GetProperty("fallback_allocation").GetBoolean(),
        });

        // What accelerate itself answered, which is more than its tests assert.
        Assert.Equal(AccelerateCases.Devices(one.GetProperty("observed_map")), answer.Devices.Entries.ToDictionary());
        if (one.Optional("expect") is { } map) Assert.Equal(AccelerateCases.Devices(map), answer.Devices.Entries.ToDictionary());
        if (one.Optional("expect_partial") is { } partial) Assert.All(AccelerateCases.Devices(partial), pair => Assert.Equal(pair.Value, answer.Devices.DeviceOf(pair.Key)));
        if (one.Optional("expect_no_module_on") is { } without) Assert.All(without.EnumerateArray(), device => Assert.DoesNotContain(AccelerateCases.Device(device), answer.Devices.Entries.Values));
        if (one.Optional("expect_some_module_on") is { } with) Assert.All(with.EnumerateArray(), device => Assert.Contains(AccelerateCases.Device(device), answer.Devices.Entries.Values));
        if (one.Optional("expect_warning") is { } warning) Assert.Equal(warning.GetBoolean(), answer.HomelessBufferBytes > 0 && !options.GetProperty("offload_buffers").GetBoolean());
        if (one.Optional("expect_log_contains") is not null) Assert.NotEmpty(answer.Shortages);
        if (one.Optional("expect_log_absent") is not null) Assert.Empty(answer.Shortages);
    }

    [Theory]
    [MemberData(nameof(Balances))]
    public void Limits_are_balanced(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        ModuleTree tree = AccelerateCases.Tree(one);
        MemoryLimits balanced = BalancedMemory.Of(tree, new(tree), AccelerateCases.Limits(one.GetProperty("max_memory")), given: true, AccelerateCases.Whole(one), lowZero: false);
        MemoryLimits expected = AccelerateCases.Limits(one.GetProperty("observed_balanced"));
        Assert.Equal(expected.Gpus, balanced.Gpus);
        Assert.Equal(expected.Host, balanced.Host);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Every_module_has_its_size(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        Assert.Equal(one.GetProperty("expect_sizes").EnumerateObject().ToDictionary(size => size.Name, size => size.Value.GetInt64()), new ModuleSizes(AccelerateCases.Tree(one)).Entries.ToDictionary());
    }

    [Fact]
    public void A_smaller_type_shrinks_floating_tensors_only_and_a_special_type_goes_before()
    {
        ModuleTree tree = AccelerateCases.Tree(AccelerateCases.Find("sizes_float32"));
        Dictionary<string, long> half = AccelerateCases.Find("sizes_after_half_integer_buffer_kept").GetProperty("expect_sizes").EnumerateObject().ToDictionary(size => size.Name, size => size.Value.GetInt64());
        Assert.Equal(half, new ModuleSizes(tree, new("float16")).Entries.ToDictionary());
        Assert.Equal(new ModuleSizes(tree).Entries, new ModuleSizes(tree, new("float64")).Entries);
        var special = new ModuleSizes(tree, new("float16"), new Dictionary<string, TorchType> { ["linear1.weight"] = new("float64"), ["batchnorm.num_batches_tracked"] = new("int8") });
        Assert.Equal(half[""] - 24 + 96 - 8 + 1, special[""]);
        Assert.Equal(96, special["linear1.weight"]);
    }

    [Theory]
    [MemberData(nameof(BufferTotals))]
    public void Buffers_add_up(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        Assert.Equal(one.GetProperty("expect_total").GetInt64(), ModuleSizes.BufferBytes(AccelerateCases.Tree(one).Root, null));
        Assert.Equal(624, ModuleSizes.BufferBytes(AccelerateCases.Tree(AccelerateCases.Find("total_buffers_float32")).Root, new("float16")));
    }

    [Theory]
    [MemberData(nameof(Ties))]
    public void Shared_parameters_form_groups(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        IEnumerable<string> Lines(IEnumerable<IEnumerable<string>> groups) => groups.Select(group => string.Join(' ', group)).Order(StringComparer.Ordinal);
        Assert.Equal(Lines(AccelerateCases.Groups(one.GetProperty("expect_tied")).Select(group => group.AsEnumerable())), Lines(AccelerateCases.Tree(one).Tied.Select(group => group.AsEnumerable())));
    }

    [Theory]
    [MemberData(nameof(TiedSizes))]
    public void Tied_modules_count_what_is_shared_once(string name)
    {
        JsonElement one = AccelerateCases.Find(name), call = one.GetProperty("call");
        ModuleTree tree = AccelerateCases.Tree(one);
        List<Pending> queue = [.. Pending.Of(tree).Where(item => call.GetProperty("modules_to_treat").EnumerateArray().Any(path => path.GetString() == item.Path))];
        // The case counts the weight under each of its names.
        var sizes = new ModuleSizes(new ModuleTree(tree.Root, []));
        TiedModules tied = TiedModules.Find([.. call.GetProperty("tied_params").EnumerateArray().Select(path => path.GetString()!)], call.GetProperty("module_size").GetInt64(), queue, sizes)!;
        Assert.Equal(one.GetProperty("expect_size").GetInt64(), tied.Bytes);
        Assert.Equal(one.GetProperty("expect_tied_module_names").EnumerateArray().Select(path => path.GetString()), tied.Owners.Select(owner => owner.Path));
    }

    [Theory]
    [MemberData(nameof(Cleanings))]
    public void Entries_of_one_device_are_joined(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        Assert.Equal(AccelerateCases.Devices(one.GetProperty("expect")), ModuleDevices.Of(AccelerateCases.Devices(one.GetProperty("device_map"))).Clean().Entries.ToDictionary());
    }

    [Theory]
    [MemberData(nameof(Checks))]
    public void A_map_must_cover_every_tensor_and_its_unknown_entries_are_found(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        var devices = ModuleDevices.Of(AccelerateCases.Devices(one.GetProperty("device_map")));
        if (one.Optional("expect_error") is not null) Assert.Contains("5 of 9 tensors", Assert.Throws<InvalidOptionException>(() => devices.Check(AccelerateCases.Tree(one))).Message, StringComparison.Ordinal);
        else Assert.Equal(one.Optional("expect_warning") is null ? [] : ["another_invalid", "invalid_module"], devices.Check(AccelerateCases.Tree(one)));
    }

    [Theory]
    [MemberData(nameof(Texts))]
    public void Sizes_are_read(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        string text = one.GetProperty("input").ToString();
        if (one.Optional("expect_error") is not null) Assert.Throws<InvalidOptionException>(() => ByteSize.Parse(text));
        else Assert.Equal(one.GetProperty("expect_bytes").GetInt64(), ByteSize.Parse(text));
    }

    [Theory]
    [MemberData(nameof(Types))]
    public void Types_have_their_bits(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        Assert.Equal(8 * one.GetProperty("expect_bytes").GetDouble(), new TorchType(one.GetProperty("input").GetString()!).Bits);
    }

    [Theory]
    [InlineData("int4", 4)]
    [InlineData("uint8", 8)]
    [InlineData("int64", 64)]
    public void Types_that_accelerate_adds_have_theirs(string name, int bits) => Assert.Equal(bits, new TorchType(name).Bits);

    [Theory]
    [InlineData("")]
    [InlineData("half")]
    [InlineData("float")]
    [InlineData("16")]
    [InlineData("float0")]
    public void A_type_without_bits_is_refused(string name) => Assert.Throws<InvalidOptionException>(() => new TorchType(name).Bits);

    // accelerate leaves "meta" where the data is elsewhere until it is needed: on disk, or in RAM once a GPU computes the model.
    [Theory]
    [MemberData(nameof(Residencies))]
    public void Tensors_rest_where_the_map_has_them(string name)
    {
        JsonElement one = AccelerateCases.Find(name);
        var devices = ModuleDevices.Of(AccelerateCases.Devices(one.GetProperty("device_map")));
        string stage = one.GetProperty("stage").GetString()!;
        bool buffersStay = one.Optional("options") is { } options && options.Optional("offload_buffers") is { ValueKind: JsonValueKind.False };
        foreach ((string path, string rests) in AccelerateCases.Devices(one.GetProperty("expect_residency")))
        {
            string mapped = devices.DeviceOf(path)!;
            bool offloaded = stage switch
            {
                "load_checkpoint_in_model" => mapped == DeviceName.Disk && !(buffersStay && path.Contains("running", StringComparison.Ordinal)),
                "load_checkpoint_and_dispatch" => DeviceName.GpuIndex(mapped) is null,
                _ => false,
            };
            Assert.Equal(rests, offloaded ? "meta" : mapped == DeviceName.Disk ? DeviceName.Host : mapped);
        }
    }
}
