using NativeBigModel.Bench.Models;
using NativeBigModel.Planning;

namespace NativeBigModel.Tests.Planning;

/// <summary>Shapes of published models.</summary>
internal static class Models
{
    /// <summary>A decoder as Llama has it, or as Mixtral, all of whose matrices have one type.</summary>
    public static ModelShape Llama(int layers, int width, int inner, int heads, int kvHeads, int vocabulary, TensorType type, int experts = 0, int used = 0)
    {
        ModelShape shape = new SyntheticModel("model", "llama", WeightType.F16, layers, width, inner, heads, kvHeads, vocabulary) { Experts = (experts, used) }.Shape;
        return shape with { Tensors = [.. shape.Tensors.Select(tensor => tensor.Type == TensorType.F16 ? tensor with { Type = type } : tensor)] };
    }
}
