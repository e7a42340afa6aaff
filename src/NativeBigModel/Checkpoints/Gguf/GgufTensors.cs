using NativeBigModel.Architectures;
using NativeBigModel.Planning;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>
/// Checks a GGUF's tensors against its hyperparameters. llama.cpp lays its tensors out from the hyperparameters, in the types of the file, and asserts
/// that the two go together; its operators assert on types that they do not compute with.
/// </summary>
internal static class GgufTensors
{
    private static readonly string[] s_projections = ["attn_q", "attn_k", "attn_v"];

    /// <exception cref="CheckpointException">A tensor is missing, or has another shape or a type for another purpose.</exception>
    /// <exception cref="UnsupportedModelException">A tensor has no place in the graph of a family that we know.</exception>
    public static void Check(GgufKeys keys, ModelShape shape)
    {
        foreach (TensorSpec tensor in shape.Tensors)
        {
            CheckType(keys, tensor);
            CheckLayer(keys, shape, tensor);
        }
        if (shape.Tensors.IsEmpty || ArchitectureRegistry.ForGguf(shape.Architecture) is not { } family) return;
        Dictionary<string, (long[] Dimensions, bool Required)> expected = Expected(family, shape);
        foreach (TensorSpec tensor in shape.Tensors)
        {
            if (!expected.Remove(tensor.Name, out (long[] Dimensions, bool) known))
                throw new UnsupportedModelException($"{keys.File}: {tensor.Name}: this tensor has no place in the {family.Name} graph with these hyperparameters");
            if (!tensor.Dimensions.AsSpan().SequenceEqual(known.Dimensions))
                throw keys.Error(tensor.Name, $"has extents [{string.Join(", ", tensor.Dimensions)}], and the hyperparameters say [{string.Join(", ", known.Dimensions)}]");
        }
        if (expected.FirstOrDefault(tensor => tensor.Value.Required).Key is { } missing) throw keys.Error(missing, $"is missing, and the {shape.Architecture} graph needs it");
    }

    private static Dictionary<string, (long[] Dimensions, bool Required)> Expected(Architecture family, ModelShape shape)
    {
        Dictionary<string, (long[] Dimensions, bool Required)> expected = new(StringComparer.Ordinal);
        foreach (Architecture other in ArchitectureRegistry.All.Where(other => other.Name == family.Name && other != family))
        {
            foreach (MappedTensor tensor in other.Tensors.ExpandAll(shape)) expected[tensor.Gguf] = (tensor.Dimensions, false);
        }
        // What the graph must have is what its own family always has; of several recipes for a tensor each configuration has one.
        foreach (IGrouping<string, MappedTensor> recipes in family.Tensors.ExpandAll(shape).GroupBy(tensor => tensor.Gguf, StringComparer.Ordinal))
            expected[recipes.Key] = (recipes.First().Dimensions, recipes.Count() > 1 || recipes.First().Rule.When is null);
        foreach (string name in (string[])["rope_freqs", "rope_factors_long", "rope_factors_short"]) expected[$"{name}.weight"] = ([shape.Layers[0].RotaryLength / 2], false);
        foreach (TensorSpec fused in shape.Tensors.Where(tensor => tensor.Name.Contains(".attn_qkv.", StringComparison.Ordinal))) ReplaceByFused(expected, shape, fused);
        return expected;
    }

    // llama.cpp takes query, key and value as three tensors or as one, whatever a converter chose.
    private static void ReplaceByFused(Dictionary<string, (long[], bool)> expected, ModelShape shape, TensorSpec fused)
    {
        string[] parts = [.. s_projections.Select(part => fused.Name.Replace("attn_qkv", part, StringComparison.Ordinal))];
        if (fused.Layer < 0 || fused.Layer >= shape.Layers.Length || !parts.All(expected.ContainsKey)) return;
        foreach (string part in parts) expected.Remove(part);
        long rows = RowOrders.FusedRows(shape.Layers[fused.Layer]);
        expected[fused.Name] = (fused.Name.EndsWith(".bias", StringComparison.Ordinal) ? [rows] : [shape.EmbeddingLength, rows], false);
    }

    // An extent that the hyperparameters make zero is asserted against, in every architecture.
    private static void CheckLayer(GgufKeys keys, ModelShape shape, TensorSpec tensor)
    {
        if (tensor.Layer < 0 || tensor.Layer >= shape.Layers.Length) return;
        LayerShape layer = shape.Layers[tensor.Layer];
        if (tensor.Name.EndsWith(".attn_q.weight", StringComparison.Ordinal) && layer.HeadCount == 0) throw keys.Error(tensor.Name, $"is {tensor.Rows} rows, and {shape.Architecture}.attention.head_count is 0 or missing");
        if (tensor.Name.EndsWith(".attn_k.weight", StringComparison.Ordinal) && layer.KvHeadCount == 0) throw keys.Error(tensor.Name, $"is {tensor.Rows} rows, and {shape.Architecture}.attention.head_count_kv is 0");
        if (tensor.Name.EndsWith(".ffn_up.weight", StringComparison.Ordinal) && layer.FeedForwardLength == 0) throw keys.Error(tensor.Name, $"is {tensor.Rows} rows, and {shape.Architecture}.feed_forward_length is 0 or missing");
    }

    // What holds in every architecture: norms, biases and rotary factors are added and multiplied in F32; matrices are of a type that products are computed in.
    private static void CheckType(GgufKeys keys, TensorSpec tensor)
    {
        bool vector = tensor.Name.EndsWith(".bias", StringComparison.Ordinal) || tensor.Name.Contains("_norm.", StringComparison.Ordinal)
            || tensor.Name.EndsWith("rope_freqs.weight", StringComparison.Ordinal) || tensor.Name.Contains("rope_factors_", StringComparison.Ordinal);
        if (vector && tensor.Type != TensorType.F32) throw keys.Error(tensor.Name, $"is {tensor.Type}, and the graph computes with it in F32");
        bool matrix = tensor.Dimensions.Length > 1 && tensor.Name.EndsWith(".weight", StringComparison.Ordinal);
        if (matrix && tensor.Type is (TensorType.F64 or TensorType.I8 or TensorType.I16 or TensorType.I32 or TensorType.I64 or TensorType.Q8_1 or TensorType.Q8_K))
            throw keys.Error(tensor.Name, $"is {tensor.Type}, and no graph multiplies by a matrix of that type");
    }
}
