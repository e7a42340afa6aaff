using NativeBigModel.Planning;

namespace NativeBigModel.Runtime;

/// <summary>Whether llama.cpp put layers on the GPUs that a plan has them on: it is told how many each takes, as shares, and rounds.</summary>
internal static class PlacementProof
{
    /// <summary>Requires it of a model that was allocated.</summary>
    /// <param name="plan">The plan.</param>
    /// <param name="placed">Tensors, and the <see cref="DeviceName"/> where the engine says that each is. In host memory may be what a GPU cannot compute.</param>
    /// <exception cref="EngineException">One is on a GPU that is not its layer's.</exception>
    public static void Require(Plan plan, IEnumerable<(TensorSpec Tensor, string Device)> placed)
    {
        Dictionary<string, LayerPlacement> items = plan.Layers.ToDictionary(layer => layer.Name);
        bool split = plan.SplitsLayers;
        foreach ((TensorSpec tensor, string device) in placed)
        {
            if (tensor.Layer < 0 || device == DeviceName.Host) continue;
            LayerPlacement item = items[ItemName.Of(tensor, split)];
            if (item.ComputeDevice != device)
                throw new EngineException($"llama.cpp put {tensor.Name} on {DeviceName.Label(device)}, and the plan has {item.Name} on {DeviceName.Label(item.ComputeDevice)}");
        }
    }
}
