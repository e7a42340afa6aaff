using System.Text.Json;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Tensors;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>
/// A low-rank adapter in PEFT's layout, adapter_config.json beside adapter_model.safetensors: it is added to the weights of a folder as their rows are read.
/// What it would change and we do not is refused by name, as is a tensor of it that no weight takes.
/// </summary>
internal sealed class LoraAdapter
{
    private const string WeightsName = "adapter_model.safetensors", ConfigName = "adapter_config.json", Prefix = "base_model.model.";
    private const long MaxConfigBytes = 16 << 20;
    private const int MaxRank = 1 << 16;

    private readonly Dictionary<string, StoredTensor> _tensors;
    private readonly HashSet<string> _read = new(StringComparer.Ordinal);
    private readonly Func<string, (int Rank, float Scale)> _settings;
    private readonly bool _turned;

    private LoraAdapter(Dictionary<string, StoredTensor> tensors, Func<string, (int Rank, float Scale)> settings, bool turned) => (_tensors, _settings, _turned) = (tensors, settings, turned);

    /// <exception cref="CheckpointException">A file is missing or malformed.</exception>
    /// <exception cref="UnsupportedModelException">It is an adapter of another kind.</exception>
    public static LoraAdapter Read(string folder)
    {
        using JsonDocument document = JsonFile.Open(Path.Combine(folder, ConfigName), MaxConfigBytes);
        var config = new ConfigReader(ConfigName, "", document.RootElement);
        if (config.String("peft_type") is var kind and not "LORA") throw new UnsupportedModelException($"{ConfigName}: peft_type: '{kind}' is not merged, LORA is");
        foreach (string key in (string[])["use_dora", "lora_bias", "use_qalora"])
        {
            if (config.OptionalBool(key) ?? false) throw new UnsupportedModelException($"{ConfigName}: {key}: true is not merged, false is");
        }
        if (config.OptionalString("bias") is { } bias and not "none") throw new UnsupportedModelException($"{ConfigName}: bias: '{bias}' is not merged, none is");
        foreach (string key in (string[])["layer_replication", "target_parameters", "megatron_config", "alora_invocation_tokens"])
        {
            if (config.Has(key)) throw new UnsupportedModelException($"{ConfigName}: {key}: adapters with it are not merged");
        }
        int rank = config.Int("r", 1, MaxRank);
        float alpha = config.OptionalFloat("lora_alpha", -1e6f, 1e6f) ?? 8;
        bool byRoot = config.OptionalBool("use_rslora") ?? false;
        Dictionary<string, float> ranks = Pattern(config, "rank_pattern", 1, MaxRank), alphas = Pattern(config, "alpha_pattern", -1e6f, 1e6f);
        (int, float) Settings(string module)
        {
            int own = (int)(Match(ranks, module) ?? rank);
            return (own, (Match(alphas, module) ?? alpha) / (byRoot ? MathF.Sqrt(own) : own));
        }
        IReadOnlyList<StoredTensor> stored = SafetensorsHeader.Read(Path.Combine(folder, WeightsName));
        return new(stored.ToDictionary(tensor => tensor.Name.StartsWith(Prefix, StringComparison.Ordinal) ? tensor.Name[Prefix.Length..] : tensor.Name, StringComparer.Ordinal),
            Settings, config.OptionalBool("fan_in_fan_out") ?? false);
    }

    /// <summary>A weight with what the adapter adds to it or puts in its place; itself where that is nothing.</summary>
    /// <exception cref="CheckpointException">The adapter's shapes are not the weight's.</exception>
    public StoredWeight Apply(string name, StoredWeight weight)
    {
        if (Take(name) is { } whole)
        {
            if (!whole.Shape.AsSpan().SequenceEqual(weight.Shape.AsSpan())) throw Error(whole, $"has shape [{string.Join(", ", whole.Shape)}], and the weight in its place [{string.Join(", ", weight.Shape)}]");
            return StoredWeights.Plain(whole);
        }
        if (!name.EndsWith(".weight", StringComparison.Ordinal)) return weight;
        string module = name[..^".weight".Length];
        if (Take($"{module}.lora_A.weight") is { } down) return Added(module, weight, down, Take($"{module}.lora_B.weight") ?? throw Missing(module, "lora_B"), _turned);
        if (Take($"{module}.lora_embedding_A") is { } words) return Added(module, weight, words, Take($"{module}.lora_embedding_B") ?? throw Missing(module, "lora_embedding_B"), turned: true);
        return weight;
    }

    /// <exception cref="UnsupportedModelException">A tensor of the adapter changes nothing that was read.</exception>
    public void RequireAllRead()
    {
        if (_tensors.Values.FirstOrDefault(tensor => !_read.Contains(tensor.Name)) is { } left)
            throw new UnsupportedModelException($"{WeightsName}: {left.Name}: the model has no weight that this changes");
    }

    // W + scale * B A; or, of a weight that is stored the other way round, its transpose.
    private StoredWeight Added(string module, StoredWeight weight, StoredTensor down, StoredTensor up, bool turned)
    {
        (int rank, float scale) = _settings(module);
        (long rows, long columns) = (weight.Source.Rows, weight.Source.Columns);
        if (weight.Shape.Length != 2 || weight.Transposed || !Conversion.Floats.IsFloat(weight.Source.Type))
            throw new UnsupportedModelException($"{WeightsName}: {down.Name}: the weight is not one matrix of floats, and nothing is added to it");
        Require(down, rank, turned ? rows : columns);
        Require(up, turned ? columns : rows, rank);
        return weight with { Source = new LowRankSource(weight.Source, down, up, rank, scale, turned) };
    }

    private StoredTensor? Take(string name)
    {
        if (!_tensors.TryGetValue(name, out StoredTensor? tensor)) return null;
        _read.Add(tensor.Name);
        return tensor;
    }

    private static void Require(StoredTensor tensor, long rows, long columns)
    {
        if (!tensor.Shape.AsSpan().SequenceEqual([rows, columns])) throw Error(tensor, $"has shape [{string.Join(", ", tensor.Shape)}], and the weight and {ConfigName} say [{rows}, {columns}]");
        if (SafetensorsTypes.AsTensorType(tensor.DataType) is not { } type || !Conversion.Floats.IsFloat(type)) throw Error(tensor, $"has elements of {tensor.DataType}, and must have floats");
    }

    private static CheckpointException Error(StoredTensor tensor, string problem) => new(WeightsName, tensor.Name, problem);

    private static CheckpointException Missing(string module, string part) => new(WeightsName, $"{module}.{part}", "is missing, and its other half is there");

    private static Dictionary<string, float> Pattern(ConfigReader config, string key, float min, float max) => config.OptionalObject(key) is { } entries
        ? entries.Entries().ToDictionary(entry => entry.Key, entry => entries.Float(entry.Key, min, max), StringComparer.Ordinal)
        : [];

    // PEFT takes a key as the end of a module's path.
    private static float? Match(Dictionary<string, float> pattern, string module) => pattern
        .Where(entry => module == entry.Key || module.EndsWith("." + entry.Key, StringComparison.Ordinal)).Select(entry => (float?)entry.Value).FirstOrDefault();
}
