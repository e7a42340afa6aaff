using System.Globalization;
using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>How the rows of a stored tensor must be ordered for the engine.</summary>
internal enum RowOrder
{
    /// <summary>As they stand in the file.</summary>
    AsStored,
    /// <summary>Query rows: halves of each head interleaved (<see cref="NativeBigModel.Tensors.RotaryPairs"/>).</summary>
    QueryPairs,
    /// <summary>Key rows: likewise, over the key heads.</summary>
    KeyPairs,
}

/// <summary>One line of a tensor map. <c>{}</c> in a name stands for the layer number.</summary>
/// <param name="Gguf">llama.cpp's name.</param>
/// <param name="HuggingFace">The checkpoint's name.</param>
/// <param name="Dimensions">Extents in ggml's order, from the hyperparameters.</param>
internal sealed record TensorRule(string Gguf, string HuggingFace, Func<ModelShape, LayerShape, long[]> Dimensions)
{
    public RowOrder Order { get; init; }

    /// <summary>Whether a model with this configuration has the tensor; null means always.</summary>
    public Func<ConfigReader, bool>? When { get; init; }

    public bool PerLayer => Gguf.Contains("{}", StringComparison.Ordinal);
}

/// <summary>A rule applied to one layer of one model.</summary>
internal sealed record MappedTensor(string Gguf, string HuggingFace, long[] Dimensions, TensorRule Rule, LayerShape Layer);

/// <summary>A family's tensors as data, read in both directions.</summary>
internal sealed class TensorMap(IReadOnlyList<TensorRule> rules)
{
    public IReadOnlyList<TensorRule> Rules { get; } = rules;

    /// <summary>Every tensor that a model with this configuration has, in file order: inputs, layers, outputs.</summary>
    public IEnumerable<MappedTensor> Expand(ModelShape shape, ConfigReader config) => Expand(shape, rule => rule.When?.Invoke(config) ?? true);

    /// <summary>Every tensor that any configuration of this shape may have.</summary>
    public IEnumerable<MappedTensor> ExpandAll(ModelShape shape) => Expand(shape, _ => true);

    /// <summary>llama.cpp's name of a Hugging Face tensor, or null where the family has no such tensor.</summary>
    public string? ToGguf(string huggingFace) => Rename(huggingFace, static rule => rule.HuggingFace, static rule => rule.Gguf);

    /// <summary>The Hugging Face name of one of llama.cpp's tensors, or null where the family has no such tensor.</summary>
    public string? ToHuggingFace(string gguf) => Rename(gguf, static rule => rule.Gguf, static rule => rule.HuggingFace);

    private IEnumerable<MappedTensor> Expand(ModelShape shape, Func<TensorRule, bool> applies)
    {
        List<TensorRule> present = [.. Rules.Where(applies)];
        foreach (TensorRule rule in present.Where(rule => !rule.PerLayer)) yield return Map(rule, shape, 0);
        for (int layer = 0; layer < shape.Layers.Length; layer++)
            foreach (TensorRule rule in present.Where(rule => rule.PerLayer)) yield return Map(rule, shape, layer);
    }

    private static MappedTensor Map(TensorRule rule, ModelShape shape, int layer)
    {
        LayerShape layerShape = shape.Layers[layer];
        return new(WithLayer(rule.Gguf, layer), WithLayer(rule.HuggingFace, layer), rule.Dimensions(shape, layerShape), rule, layerShape);
    }

    private static string WithLayer(string pattern, int layer) => pattern.Replace("{}", layer.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal);

    private string? Rename(string name, Func<TensorRule, string> from, Func<TensorRule, string> to)
    {
        foreach (TensorRule rule in Rules)
        {
            string pattern = from(rule);
            if (!rule.PerLayer)
            {
                if (pattern == name) return to(rule);
                continue;
            }
            int hole = pattern.IndexOf("{}", StringComparison.Ordinal);
            string before = pattern[..hole], after = pattern[(hole + 2)..];
            if (name.Length > before.Length + after.Length
                && name.StartsWith(before, StringComparison.Ordinal) && name.EndsWith(after, StringComparison.Ordinal)
                && int.TryParse(name.AsSpan(hole, name.Length - before.Length - after.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int layer))
                return WithLayer(to(rule), layer);
        }
        return null;
    }
}
