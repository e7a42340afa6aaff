using System.Collections.Immutable;
using NativeBigModel.Planning;
using NativeBigModel.Planning.DeviceMaps;

namespace NativeBigModel.Tests.Planning.DeviceMaps;

/// <summary>What accelerate's tests leave out, from its documented rules and from what its code answered.</summary>
public class InferenceTests
{
    // accelerate with 4 layers of 440 bytes on GPUs of 880 and 880: one, two, and the fourth on the CPU although everything would fit.
    [Fact]
    public void The_first_GPU_keeps_room_for_a_layer_and_the_second_does_not() =>
        Assert.Equal(["0", "1", "1", "cpu"], Infer(Layers(440, 440, 440, 440), Limits(10_000, 880, 880)).Devices.Clean().Entries.Values);

    [Fact]
    public void Balanced_low_0_leaves_GPU_0_what_the_others_cannot_hold()
    {
        ModuleTree tree = Layers(100, 100, 100, 100);
        MemoryLimits Balance(bool lowZero, params long[] gpus) => BalancedMemory.Of(tree, new(tree), Limits(1000, gpus), given: true, new HashSet<string>(), lowZero);
        // A layer's share is 400 / 2 (or 400 / 1 without GPU 0), and a quarter more than a layer.
        Assert.Equal([325, 1000], Balance(false, 1000, 1000).Gpus.Values);
        Assert.Equal([0, 1000], Balance(true, 1000, 1000).Gpus.Values);
        Assert.Equal([100, 150, 150], Balance(true, 1000, 150, 150).Gpus.Values);
        // accelerate takes GPU 1, which may hold nothing, for the only other one, and fails where there is none of that number.
        Assert.Equal([400, 0, 150], Balance(true, 1000, 0, 150).Gpus.Values);
        Assert.Equal([100, 150, 150], BalancedMemory.Of(tree, new(tree), new() { Gpus = Limits(1, 1000, 1, 150, 150).Gpus.Remove(1) }, given: true, new HashSet<string>(), lowZero: true).Gpus.Values);
        Assert.Throws<InvalidOptionException>(() => BalancedMemory.Of(tree, new(tree), new() { Gpus = Limits(1, 1, 1, 1).Gpus.Remove(0) }, given: true, new HashSet<string>(), lowZero: true));
    }

    // The table of sizes has what owns parameters before what owns nothing but buffers: 88 / 2 and a quarter more than 72, not than the 44 that modules have on average.
    [Fact]
    public void The_first_module_of_a_class_is_the_first_in_the_table_of_sizes()
    {
        ModuleTree tree = new(new("", "Model", [], [], [new("mask", "Whole", [], [new("buffer", 16)], []), new("block", "Whole", [new("weight", 72)], [], [])]), []);
        Assert.Equal([134, 1000], BalancedMemory.Of(tree, new(tree), Limits(1000, 1000, 1000), given: true, new HashSet<string> { "Whole" }, lowZero: false).Gpus.Values);
    }

    // Both layers of the first block share with the second, which has its device with the first of them: accelerate looks for it once more and fails.
    [Fact]
    public void What_has_its_device_is_not_brought_along_again()
    {
        Module Block(string name) => new(name, "Block", [], [], [Leaf("0", 40), Leaf("1", 40)]);
        ModuleTree tree = new(new("", "Model", [], [], [Block("first"), new("second", "Whole", [], [], [Leaf("0", 40), Leaf("1", 40)]), Leaf("third", 40)]), [["first.0.weight", "second.0.weight"], ["first.1.weight", "second.1.weight"]]);
        InferredDevices answer = DeviceInference.Infer(tree, Limits(1000, 110, 50), new() { Whole = new HashSet<string> { "Whole" } });
        Assert.Equal(["first.0 0", "first.1 1", "second 0", "third cpu"], answer.Devices.Entries.Select(entry => $"{entry.Key} {entry.Value}"));
    }

    [Fact]
    public void The_only_GPU_keeps_a_tenth_free_unless_its_limit_was_chosen()
    {
        ModuleTree tree = Layers(100);
        Assert.Equal([900], BalancedMemory.Of(tree, new(tree), Limits(1, 1000), given: false, new HashSet<string>(), lowZero: true).Gpus.Values);
        Assert.Equal([1000], BalancedMemory.Of(tree, new(tree), Limits(1, 1000), given: true, new HashSet<string>(), lowZero: true).Gpus.Values);
    }

    // "1" is a part of "11.weight": accelerate fails here.
    [Fact]
    public void Paths_are_compared_by_their_names()
    {
        ModuleTree tree = new(Layers([.. Enumerable.Repeat(10L, 12)]).Root, [["0.weight", "11.weight"]]);
        InferredDevices answer = Infer(tree, Limits(1000, 25));
        Assert.Equal("0", answer.Devices.DeviceOf("0.weight"));
        Assert.Equal("0", answer.Devices.DeviceOf("11.weight"));
        Assert.Equal("cpu", answer.Devices.DeviceOf("1.weight"));
    }

    // A parameter that an opened module owns itself is shared with another module: accelerate finds no owner and fails.
    [Fact]
    public void A_bare_parameter_owns_itself()
    {
        var parent = new Module("parent", "Parent", [new("weight", 50)], [], [Leaf("child", 50)]);
        ModuleTree tree = new(new("", "Model", [], [], [parent, Leaf("other", 50)]), [["parent.weight", "other.weight"]]);
        InferredDevices answer = Infer(tree, Limits(1000, 120));
        Assert.Equal(answer.Devices.DeviceOf("other"), answer.Devices.DeviceOf("parent.weight"));
    }

    [Fact]
    public void Every_tensor_has_one_device_and_no_limit_is_exceeded()
    {
        var random = new Random(7);
        for (int round = 0; round < 500; round++)
        {
            ModuleTree tree = Random(random);
            MemoryLimits limits = Limits(random.Next(600), [.. Enumerable.Range(0, random.Next(4)).Select(_ => (long)random.Next(400))]);
            InferredDevices answer = DeviceInference.Infer(tree, limits, new() { Whole = new HashSet<string> { "Whole" }, Fallback = round % 2 == 0, Clean = round % 3 == 0 });
            Assert.Empty(answer.Devices.Check(tree));
            foreach ((int gpu, long limit) in limits.Gpus) Assert.True(Bytes(tree, answer, DeviceName.Gpu(gpu)) <= limit, $"round {round}: GPU {gpu}");
            Assert.True(Bytes(tree, answer, DeviceName.Host) <= limits.Host, $"round {round}: cpu");
            foreach ((string path, Module module) in tree.Modules.Where(one => one.Module.Class == "Whole"))
                Assert.Single(tree.Tensors.Where(one => ModuleTree.IsIn(one.Path, path)).Select(one => answer.Devices.DeviceOf(one.Path)).Distinct());
        }
    }

    private static InferredDevices Infer(ModuleTree tree, MemoryLimits limits) => DeviceInference.Infer(tree, limits, new() { Clean = false });

    private static long Bytes(ModuleTree tree, InferredDevices answer, string device)
    {
        var sizes = new ModuleSizes(tree);
        return tree.Tensors.Where(one => answer.Devices.DeviceOf(one.Path) == device).Sum(one => sizes[one.Path]);
    }

    private static MemoryLimits Limits(long host, params long[] gpus) =>
        new() { Gpus = gpus.Select((bytes, i) => KeyValuePair.Create(i, bytes)).ToImmutableSortedDictionary(), Host = host };

    private static ModuleTree Layers(params long[] bytes) => new(new("", "Sequential", [], [], [.. bytes.Select((one, i) => Leaf($"{i}", one))]), []);

    private static Module Leaf(string name, long bytes) => new(name, "Linear", [new("weight", bytes)], [], []);

    // Trees two deep, some modules whole, and some parameters tied.
    private static ModuleTree Random(Random random)
    {
        Module Parent(int i) => new($"block{i}", random.Next(2) == 0 ? "Whole" : "Block", random.Next(3) == 0 ? [new("scale", random.Next(20))] : [], [],
            [.. Enumerable.Range(0, random.Next(1, 4)).Select(j => Leaf($"linear{j}", random.Next(1, 100)))]);
        Module[] children = [Leaf("embed", 60), .. Enumerable.Range(0, random.Next(1, 6)).Select(Parent), Leaf("head", 60)];
        var root = new Module("", "Model", [], [], [.. children]);
        string[] paths = [.. new ModuleTree(root, []).Parameters.Select(one => one.Path)];
        random.Shuffle(paths);
        return new(root, random.Next(3) switch { 0 => [], 1 => [["embed.weight", "head.weight"]], _ => [[.. paths[..2]], [.. paths[2..Math.Min(5, paths.Length)]]] });
    }
}
