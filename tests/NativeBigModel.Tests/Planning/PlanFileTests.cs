using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>A plan outlives its process in a file, and an edited file is not believed.</summary>
public class PlanFileTests
{
    private static readonly Arbitrary<(ModelShape Shape, Plan Plan)> s_plans =
        (from one in PlannerTests.Cases.Generator
         from map in Gen.Elements(null, DeviceMap.Auto, DeviceMap.Sequential)
         let plan = TryPlan(one.Shape, one.Limits, one.Offload, map)
         where plan is not null
         select (one.Shape, plan)).ToArbitrary();

    [Fact]
    public void Every_plan_comes_back_from_its_file_and_suits_its_model() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(s_plans, one =>
    {
        Plan read = Plan.FromJson(one.Plan.ToJson());
        Assert.Equal(one.Plan, read);
        read.Verify(one.Shape);
    }));

    [Fact]
    public void A_number_that_was_changed_is_found_and_both_are_named() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(300), Prop.ForAll(s_plans, one =>
    {
        JsonObject document = JsonNode.Parse(one.Plan.ToJson())!.AsObject(), plan = document["plan"]!.AsObject();
        foreach (JsonObject entry in (JsonObject[])[plan, .. plan["layers"]!.AsArray().Select(layer => layer!.AsObject()), .. plan["devices"]!.AsArray().Select(device => device!.AsObject())])
        {
            foreach (string name in entry.Select(field => field.Key).Where(name => name is "weight_bytes" or "kv_bytes" or "ring_bytes" or "staging_bytes").ToArray())
            {
                long was = (long)entry[name]!;
                entry[name] = was + 1;
                var error = Assert.Throws<InvalidOptionException>(() => Plan.FromJson(document.ToJsonString()).Verify(one.Shape));
                Assert.Contains($"{was + 1}", error.Message, StringComparison.Ordinal);
                Assert.Contains($"{was}", error.Message, StringComparison.Ordinal);
                entry[name] = was;
            }
        }
    }));

    [Fact]
    public void A_plan_for_another_model_is_refused()
    {
        (ModelShape shape, Plan plan) = Small();
        Assert.Throws<InvalidOptionException>(() => plan.Verify(shape with { Layers = [.. shape.Layers, shape.Layers[0]] }));
        Assert.Throws<InvalidOptionException>(() => plan.Verify(shape with { Tensors = [.. shape.Tensors.Skip(1)] }));
        Assert.Throws<InvalidOptionException>(() => plan.Verify(shape with { ContextLength = 128 }));
        plan.Verify(shape);
    }

    [Theory]
    [InlineData("""layers[1].device""", "disk", "streamed is False")]
    [InlineData("""layers[1].device""", "tpu", "'tpu' is no device")]
    [InlineData("""layers[1].device""", "-1", "'-1' is no device")]
    [InlineData("""layers[1].name""", "blk.1", "'blk.1' stands where this model has blk.0")]
    [InlineData("""layers[0].device""", "0", "llama.cpp keeps it in host memory")]
    [InlineData("""layers[1].compute_device""", "disk", "the disk computes nothing")]
    [InlineData("""devices[1].name""", "7", "cpu: entries among the devices are 0")]
    [InlineData("""kv_type""", "Q6_K", "KV type Q6_K")]
    [InlineData("""weight_type""", "Q9", "not a plan file")]
    [InlineData("""kv_type""", 77, "TensorType 77 is none")]
    [InlineData("""context_length""", 0, "context 0")]
    [InlineData("""context_length""", 1000000, "context 1000000")]
    [InlineData("""batch_size""", 0, "batch size 0")]
    [InlineData("""devices[1].limit_bytes""", 10, "bytes are needed and 10 are allowed")]
    [InlineData("""layers[2]""", null, "is null")]
    [InlineData("""layers""", null, "not a plan file")]
    [InlineData("""model""", null, "not a plan file")]
    [InlineData("""more""", 1, "not a plan file")]
    [InlineData("""notes""", "x", "not a plan file")]
    public void An_edited_file_is_refused_by_name(string place, object? value, string problem)
    {
        (ModelShape shape, Plan plan) = Small();
        JsonNode document = JsonNode.Parse(plan.ToJson())!;
        JsonNode parent = document["plan"]!;
        string[] path = place.Replace("]", "", StringComparison.Ordinal).Split('.', '[');
        foreach (string name in path[..^1]) parent = Child(parent, name);
        JsonNode? node = value switch { null => null, int number => number, string text => text, _ => throw new ArgumentOutOfRangeException(nameof(value)) };
        if (parent is JsonArray array) array[int.Parse(path[^1])] = node;
        else parent[path[^1]] = node;
        var error = Assert.ThrowsAny<BigModelException>(() => Plan.FromJson(document.ToJsonString()).Verify(shape));
        Assert.Contains(problem, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(0.5)]
    [InlineData(65)]
    [InlineData(1e300)]
    public void A_ring_that_no_layer_passes_through_is_refused(double layers)
    {
        ModelShape shape = Checkpoint.Open(TestFolders.Capitals).Describe();
        Plan streamed = Planner.Plan(shape, new Machine([], 1L << 30), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, Offload = OffloadMode.Disk, OffloadFolder = "a folder" });
        streamed.Verify(shape);
        // Without a ring its bytes agree with its length.
        Plan edited = streamed with { RingLayers = layers, Devices = [.. streamed.Devices.Select(device => device with { RingBytes = layers > 0 ? device.RingBytes : 0 })] };
        var error = Assert.Throws<InvalidOptionException>(() => Plan.FromJson(edited.ToJson()).Verify(shape));
        Assert.Equal($"ring of {layers} layers: it may have 1 to {PlanOptions.MaxRingLayers}", error.Message);
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"format": "nbm-plan"}""")]
    [InlineData("""{"format": "nbm-plan", "version": 2, "plan": {}}""")]
    [InlineData("""{"format": "nbm-plan", "version": 1}""")]
    [InlineData("""{"format": "nbm-plan", "version": 1, "plan": null}""")]
    [InlineData("""{"format": "nbm-plan", "version": 1, "plan": {}}""")]
    [InlineData("""{"format": "nbm-plan", "version": "1.0", "plan": {}}""")]
    [InlineData("""{"format": "other", "version": 1, "plan": {}}""")]
    [InlineData("""{"format": "\ud800", "version": 1, "plan": {}}""")]
    public void What_is_no_plan_file_is_refused(string json) => Assert.Throws<InvalidOptionException>(() => Plan.FromJson(json));

    [Fact]
    public void A_file_cut_anywhere_is_refused()
    {
        string json = Small().Plan.ToJson();
        for (int length = 0; length < json.Length; length += 7) Assert.Throws<InvalidOptionException>(() => Plan.FromJson(json[..length]));
    }

    private static (ModelShape Shape, Plan Plan) Small()
    {
        ModelShape shape = Checkpoint.Open(TestFolders.Capitals).Describe();
        return (shape, TryPlan(shape, MemoryLimits.Parse("0=4MiB,cpu=1GiB"), OffloadMode.Cpu, null)!);
    }

    private static Plan? TryPlan(ModelShape shape, MemoryLimits limits, OffloadMode offload, DeviceMap? map)
    {
        try { return Planner.Plan(shape, new Machine([], 0), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = limits, Offload = offload, DeviceMap = map, OffloadFolder = offload == OffloadMode.Disk ? "a folder" : null }); }
        catch (DoesNotFitException) { return null; }
    }

    private static JsonNode Child(JsonNode parent, string name) => parent is JsonArray array ? array[int.Parse(name)]! : parent[name]!;
}
