using NativeBigModel.Planning;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Planning;

/// <summary>What the engine did with a plan's layers, against the plan.</summary>
public class PlacementProofTests
{
    private static readonly ModelShape s_model = Models.Llama(8, 1024, 4096, 8, 8, 8000, TensorType.F16);

    private static readonly Plan s_plan = Planner.Plan(s_model, new Machine([], 0), new() { ContextLength = 256, MaxMemory = MemoryLimits.Parse("0=100MiB,1=150MiB,cpu=2GiB") });

    [Fact]
    public void Layers_where_the_plan_has_them_pass_and_so_does_what_fell_back_to_host_memory()
    {
        Assert.Equal(3, s_plan.Layers.Select(layer => layer.ComputeDevice).Distinct().Count());
        PlacementProof.Require(s_plan, Placed());
        PlacementProof.Require(s_plan, Placed().Select(placed => (placed.Tensor, DeviceName.Host)));
    }

    [Fact]
    public void A_layer_that_rounding_put_on_the_next_GPU_is_named()
    {
        LayerPlacement last = s_plan.Layers.Last(layer => layer.ComputeDevice == "0");
        string prefix = last.Name + ".";
        var error = Assert.Throws<EngineException>(() => PlacementProof.Require(s_plan, Placed().Select(placed => placed.Tensor.Name.StartsWith(prefix, StringComparison.Ordinal) ? (placed.Tensor, "1") : placed)));
        Assert.Contains($"on GPU 1, and the plan has {last.Name} on GPU 0", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_layer_of_the_CPU_on_a_GPU_is_named()
    {
        LayerPlacement onCpu = s_plan.Layers.First(layer => layer.ComputeDevice == DeviceName.Host && layer.Name != "input");
        string prefix = onCpu.Name + ".";
        var error = Assert.Throws<EngineException>(() => PlacementProof.Require(s_plan, Placed().Select(placed => placed.Tensor.Name.StartsWith(prefix, StringComparison.Ordinal) ? (placed.Tensor, "1") : placed)));
        Assert.Contains($"the plan has {onCpu.Name} on cpu", error.Message, StringComparison.Ordinal);
    }

    private static IEnumerable<(TensorSpec Tensor, string Device)> Placed() =>
        s_model.Tensors.Where(tensor => tensor.Layer >= 0).Select(tensor => (tensor, s_plan.Layers.Single(layer => layer.Name == $"blk.{tensor.Layer}").ComputeDevice));
}
