using System.Text.Json;
using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Planning;
using NativeBigModel.Planning.Exports;

namespace NativeBigModel.Tests.Planning.Exports;

/// <summary>llama.cpp and LLamaSharp do with an exported plan what the plan says, or the export says otherwise.</summary>
public class ExportTests
{
    private const string ModelFile = "model.gguf";

    [Fact]
    public void Stock_llama_cpp_puts_every_layer_where_a_plan_has_it() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(PlannerTests.Cases, one =>
    {
        Plan plan;
        try { plan = Planner.Plan(one.Shape, new Machine([], 0), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = one.Limits, Offload = one.Offload }); }
        catch (DoesNotFitException) { return; }
        Holds(plan);
    }));

    // Counts of every size, where quotients in single precision would part if the split were anything but whole layers.
    [Fact]
    public void No_count_of_layers_is_rounded_to_another_GPU() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(2000), Prop.ForAll(
        (from before in Gen.Choose(0, 20) from counts in Gen.ArrayOf(Gen.Choose(0, 60), 6) from after in Gen.Choose(0, 20) select (before, counts, after)).ToArbitrary(), one =>
        {
            string[] devices = [.. Enumerable.Repeat("cpu", one.before), .. one.counts.SelectMany((count, gpu) => Enumerable.Repeat($"{gpu}", count)), .. Enumerable.Repeat("cpu", one.after)];
            if (devices.Length > 0) Holds(Hand(devices));
        }));

    [Fact]
    public void What_stock_llama_cpp_cannot_do_is_said()
    {
        Plan resident = Hand("0", "0", "0");
        LayerPlacement fromDisk = resident.Layers[2] with { Device = "disk", Streamed = true }, fromHost = resident.Layers[3] with { Device = "cpu", Streamed = true };
        LlamaCppExport export = LlamaCppExport.Of(resident with { Layers = [.. resident.Layers[..2], fromDisk, fromHost] }, ModelFile);
        Assert.Contains(export.Notes, note => note.StartsWith("blk.1 cannot be streamed by stock llama.cpp: the file is mapped", StringComparison.Ordinal));
        Assert.Contains(export.Notes, note => note.StartsWith("output cannot be streamed by stock llama.cpp: their weights lie in host memory; the CPU computes", StringComparison.Ordinal));
        Assert.Contains(@"^(blk\.(1)\.|output|token_embd)=CPU", export.Arguments);
        Assert.Contains(LlamaCppExport.Of(Hand("0", "cpu", "cpu"), ModelFile).Notes, note => note.Contains("keys and values of blk.1 lie on GPU 0", StringComparison.Ordinal) && note.Contains("holds 120 of 1000 bytes", StringComparison.Ordinal));
        Assert.Empty(LlamaCppExport.Of(Hand("cpu", "0", "1"), ModelFile).Notes);
        Assert.Contains("after layers on GPU 1", Assert.Throws<InvalidOptionException>(() => LlamaCppExport.Of(Hand("1", "0", "0"), ModelFile)).Message, StringComparison.Ordinal);
        Assert.Contains("GPU 16", Assert.Throws<InvalidOptionException>(() => LlamaSharpExport.ToJson(Hand("0", "16", "16"), ModelFile)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Arguments_carry_the_context_the_cache_and_the_batch()
    {
        Plan plan = Hand("0", "1", "1") with { ContextLength = 4096, BatchSize = 2048, KvType = TensorType.Q8_0 };
        Assert.Equal("-m 'my model.gguf' -fit off -ngl 3 -ts 1,2 -c 4096 -ctk q8_0 -ctv q8_0 -fa auto -b 2048 -ub 2048", LlamaCppExport.Of(plan, "my model.gguf").ToCommandLine());
        Assert.Equal(@"-m 'it'\''s' -fit off -ngl 0 -dev none -c 256 -ctk f32 -ctv f32 -fa off -b 256 -ub 256",
            LlamaCppExport.Of(Hand("cpu", "cpu") with { KvType = TensorType.F32, FlashAttention = false }, "it's").ToCommandLine());
    }

    [Fact]
    public void LLamaSharp_reads_the_same_placement() => Check.One(Config.QuickThrowOnFailure.WithMaxTest(500), Prop.ForAll(PlannerTests.Cases, one =>
    {
        Plan plan;
        try { plan = Planner.Plan(one.Shape, new Machine([], 0), new() { ContextLength = 256, ComputeBytes = Uncounted.Compute, MaxMemory = one.Limits, Offload = one.Offload }); }
        catch (DoesNotFitException) { return; }
        LlamaSharpModelParams read = LlamaSharpModelParams.Read(LlamaSharpExport.ToJson(plan, ModelFile));
        LayerPlacement[] layers = [.. plan.Layers.Skip(1).Where(layer => !IsPart(layer))];
        var stock = StockLlamaCpp.Of(layers.Length - 1, LlamaCppExport.Of(plan, ModelFile).Arguments);
        var llamaSharp = new StockLlamaCpp(layers.Length - 1, read.GpuLayerCount, read.TensorSplits, read.TensorBufferOverrides.SingleOrDefault()?.Pattern);
        foreach ((string tensor, int layer, _) in Tensors(plan, layers)) Assert.Equal(stock.DeviceOf(layer, tensor), llamaSharp.DeviceOf(layer, tensor));
        Assert.Equal((ModelFile, 256u, 1, 0, true), (read.ModelPath, read.ContextSize!.Value, read.SplitMode!.Value, read.MainGpu, read.UseMemorymap));
        Assert.Equal((256u, 256u, (int?)TensorType.F16, (int?)TensorType.F16, (bool?)true), (read.BatchSize, read.UBatchSize, read.TypeK, read.TypeV, read.FlashAttention));
        Assert.All(read.TensorBufferOverrides, found => Assert.Equal("CPU", found.BufferType));
        Assert.Equal(read.GpuLayerCount > 0 ? null : false, read.OpOffload);
    }));

    [Fact]
    public void LLamaSharp_finds_nothing_that_it_throws_on_or_passes_over()
    {
        Plan plan = Hand("0", "cpu", "cpu") with { Notes = ["a note"] };
        using JsonDocument json = JsonDocument.Parse(LlamaSharpExport.ToJson(plan, ModelFile));
        HashSet<string> known = [.. typeof(LlamaSharpModelParams).GetProperties().Select(member => member.Name), "NativeBigModel"];
        Assert.All(json.RootElement.EnumerateObject(), member =>
        {
            Assert.Contains(member.Name, known);
            Assert.NotEqual(JsonValueKind.Null, member.Value.ValueKind);
        });
        Assert.All((string[])["SplitMode", "TypeK", "TypeV"], name => Assert.Equal(JsonValueKind.Number, json.RootElement.GetProperty(name).ValueKind));
        Assert.Contains("a note", json.RootElement.GetProperty("NativeBigModel").GetProperty("Notes").EnumerateArray().Select(note => note.GetString()));
        using JsonDocument host = JsonDocument.Parse(LlamaSharpExport.ToJson(Hand("cpu", "cpu"), ModelFile));
        Assert.False(host.RootElement.TryGetProperty("TensorSplits", out _) || host.RootElement.TryGetProperty("TensorBufferOverrides", out _));
        Assert.Equal(0, host.RootElement.GetProperty("GpuLayerCount").GetInt32());
    }

    // Weights where they rest, streamed ones in host memory; keys and values where they are computed, or on the GPU before where that is the CPU.
    private static void Holds(Plan plan)
    {
        LlamaCppExport export = LlamaCppExport.Of(plan, ModelFile);
        // A layer is where its attention is; its feed-forward part may stand apart.
        LayerPlacement[] layers = [.. plan.Layers.Skip(1).Where(layer => !IsPart(layer))];
        var stock = StockLlamaCpp.Of(layers.Length - 1, export.Arguments);
        foreach ((string tensor, int layer, LayerPlacement placed) in Tensors(plan, layers))
        {
            Assert.Equal(DeviceName.GpuIndex(placed.Device) is null ? "cpu" : placed.Device, stock.DeviceOf(layer, tensor));
        }
        foreach ((LayerPlacement placed, int layer) in layers.Select((placed, i) => (placed, i)))
        {
            if (stock.DeviceOf(layer) == placed.ComputeDevice || placed.KvBytes == 0) continue;
            Assert.Equal(DeviceName.Host, placed.ComputeDevice);
            Assert.Contains(export.Notes, note => note.Contains($"on GPU {stock.DeviceOf(layer)} in stock llama.cpp", StringComparison.Ordinal));
        }
        foreach (LayerPlacement placed in plan.Layers.Where(placed => placed.Streamed)) Assert.Contains(export.Notes, note => Regex.IsMatch(note, "cannot be streamed"));
    }

    private static bool IsPart(LayerPlacement layer) => layer.IsFeedForward;

    private static IEnumerable<(string Tensor, int Layer, LayerPlacement Placed)> Tensors(Plan plan, LayerPlacement[] layers) => layers.SelectMany((layer, i) => layer.Name == "output"
        ? (IEnumerable<(string, int, LayerPlacement)>)[("output.weight", i, layer), ("output_norm.weight", i, layer), ("token_embd.weight", i, layer)]
        : [($"{layer.Name}.attn_output.weight", i, layer), ($"{layer.Name}.ffn_up.weight", i, plan.Layers.FirstOrDefault(part => part.Name == $"{layer.Name}.ffn") ?? layer)]);

    // Layers of 100 bytes with 10 of keys and values; the last device is the output's.
    private static Plan Hand(params string[] devices)
    {
        LayerPlacement[] layers = [new("input", "cpu", "cpu", false, 100, 0), .. devices.Select((device, i) => new LayerPlacement(i == devices.Length - 1 ? "output" : $"blk.{i}", device, device, false, 100, i == devices.Length - 1 ? 0 : 10))];
        long Bytes(string device) => layers.Where(layer => layer.Device == device).Sum(layer => layer.WeightBytes);
        return new()
        {
            Model = "hand", WeightType = WeightType.AsStored, ContextLength = 256, KvType = TensorType.F16, FlashAttention = true, BatchSize = 512, WeightBytes = layers.Sum(layer => layer.WeightBytes),
            Layers = [.. layers],
            Devices = [.. layers.Select(layer => layer.Device).Distinct().Select(device => new DevicePlan(device, Bytes(device), layers.Where(layer => layer.Device == device).Sum(layer => layer.KvBytes), 0, 0, 0, 1000))],
        };
    }
}
