using System.Globalization;
using NativeBigModel.Checkpoints;
using NativeBigModel.Planning;

namespace NativeBigModel.Architectures;

/// <summary>One line of a tensor map. <c>{}</c> in a name stands for the layer number.</summary>
/// <param name="Gguf">llama.cpp's name.</param>
/// <param name="HuggingFace">How it is composed of the checkpoint's weights.</param>
/// <param name="Dimensions">Extents in ggml's order, from the hyperparameters.</param>
internal sealed record TensorRule(string Gguf, WeightRecipe HuggingFace, Func<ModelShape, LayerShape, long[]> Dimensions)
{
    /// <summary>Whether a model with this configuration has the tensor; null means always.</summary>
    public Func<ConfigReader, bool>? When { get; init; }

    /// <summary>Which layers have the tensor; null means all.</summary>
    public Func<LayerShape, bool>? Where { get; init; }

    public bool PerLayer => Gguf.Contains("{}", StringComparison.Ordinal);
}

/// <summary>A rule applied to one layer of one model.</summary>
internal sealed record MappedTensor(string Gguf, long[] Dimensions, TensorRule Rule, int Layer);

/// <summary>A family's tensors as data, read in both directions.</summary>
internal sealed class TensorMap(IReadOnlyList<TensorRule> rules)
{
    public IReadOnlyList<TensorRule> Rules { get; } = rules;

    /// <summary>Every tensor that a model with this configuration has, in file order: inputs, layers, outputs.</summary>
    public IEnumerable<MappedTensor> Expand(ModelShape shape, ConfigReader config) => Expand(shape, rule => rule.When?.Invoke(config) ?? true);

    /// <summary>Every tensor that any configuration of this shape may have.</summary>
    public IEnumerable<MappedTensor> ExpandAll(ModelShape shape) => Expand(shape, _ => true);

    /// <summary>The names of the weights that become one tensor each, by llama.cpp's names, both with holes; what is composed of others, or one of several made of one, is left out.</summary>
    public IReadOnlyDictionary<string, string> OneToOne() => Rules
        .Where(rule => rule.HuggingFace.Patterns.Count() == 1 && !rule.HuggingFace.Patterns.Single().Contains("{e}", StringComparison.Ordinal))
        .GroupBy(rule => rule.HuggingFace.Patterns.Single()).Where(ofWeight => ofWeight.Count() == 1)
        .GroupBy(ofWeight => ofWeight.Single().Gguf).Where(ofTensor => ofTensor.Count() == 1)
        .ToDictionary(ofTensor => ofTensor.Key, ofTensor => ofTensor.Single().Key, StringComparer.Ordinal);

    private IEnumerable<MappedTensor> Expand(ModelShape shape, Func<TensorRule, bool> applies)
    {
        List<TensorRule> present = [.. Rules.Where(applies)];
        foreach (TensorRule rule in present.Where(rule => !rule.PerLayer)) yield return Map(rule, shape, 0);
        for (int layer = 0; layer < shape.Layers.Length; layer++)
            foreach (TensorRule rule in present.Where(rule => rule.PerLayer && (rule.Where?.Invoke(shape.Layers[layer]) ?? true))) yield return Map(rule, shape, layer);
    }

    private static MappedTensor Map(TensorRule rule, ModelShape shape, int layer) =>
        new(rule.Gguf.Replace("{}", layer.ToString(CultureInfo.InvariantCulture), StringComparison.Ordinal), rule.Dimensions(shape, shape.Layers[layer]), rule, layer);
}
