using System.Collections.Immutable;
using System.Text.Json;
using NativeBigModel.Architectures;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Checkpoints.HuggingFace;

/// <summary>A Hugging Face folder, read through its family's tensor map.</summary>
internal sealed class HuggingFaceCheckpoint : Checkpoint
{
    private const long MaxConfigBytes = 16 << 20;

    private readonly Architecture _architecture;
    private readonly ArchitectureReading _reading;
    private readonly IReadOnlyList<(MappedTensor Mapped, TensorSource Source)> _sources;
    private readonly Vocabulary? _vocabulary;
    private readonly Lazy<TextPreparation?> _preparation;

    private HuggingFaceCheckpoint(string folder, FolderTensors tensors, string? quantization, Architecture architecture, ArchitectureReading reading,
        IReadOnlyList<(MappedTensor, TensorSource)> sources, Vocabulary? vocabulary)
        : base(folder, CheckpointFormat.HuggingFace, tensors.Stored, reading.Shape) =>
        (Quantization, _architecture, _reading, _sources, _vocabulary, _preparation) =
        (quantization, architecture, reading, sources, vocabulary, new(() => vocabulary is null ? null : new TextPreparation(vocabulary)));

    public override string? Quantization { get; }

    internal override (IReadOnlyList<int>, IReadOnlyList<int>)? SurroundingTokens => _vocabulary is null ? null : (_vocabulary.LeadingIds, _vocabulary.TrailingIds);

    internal override string PrepareText(string text) => _preparation.Value?.Apply(text, parseSpecial: true) ?? text;

    public static new HuggingFaceCheckpoint Open(string folder)
    {
        using JsonDocument document = JsonFile.Open(System.IO.Path.Combine(folder, "config.json"), MaxConfigBytes);
        var config = new ConfigReader("config.json", "", document.RootElement);
        Architecture architecture = ArchitectureRegistry.ForHuggingFace(config);
        ArchitectureReading reading = architecture.Read(config, ModelName(folder));
        FolderTensors tensors = FolderTensors.Read(folder);
        StoredWeights weights = StoredWeights.Of(tensors, config);
        List<MappedTensor> mapped = [.. architecture.Tensors.Expand(reading.Shape, config)];
        TensorType configType = StoredType(config);
        List<(MappedTensor, TensorSource)> sources = [.. mapped.Select(tensor => (tensor, Source(tensor, weights, configType)))];
        RejectUnmapped(weights, mapped, config);
        var ids = new TokenIds(TokenId(config, "bos_token_id"), TokenId(config, "eos_token_id"), TokenId(config, "pad_token_id"));
        return new(folder, tensors, weights.Quantization, architecture, reading, sources, HuggingFaceTokenizer.Read(folder, reading.Shape.VocabularySize, ids));
    }

    internal override ModelDefinition Define(WeightType type, bool preparedText = false)
    {
        List<(TensorSpec Stored, TensorSource Source)> stored =
            [.. _sources.Select(tensor => (new TensorSpec(tensor.Mapped.Gguf, [.. tensor.Mapped.Dimensions], tensor.Source.StoredType), tensor.Source))];
        if (_reading.RotaryFactors is { } factors)
            stored.Add((new TensorSpec("rope_freqs.weight", [factors.Length], TensorType.F32), new ConstantSource(factors)));
        TensorType[] types = QuantizationMix.Choose(_reading.Shape, type, [.. stored.Select(tensor => tensor.Stored)]);
        List<ModelTensor> tensors = [.. stored.Zip(types, (tensor, chosen) => new ModelTensor(tensor.Stored with { Type = chosen }, tensor.Source.As(chosen)))];
        ModelShape shape = _reading.Shape with { Tensors = [.. tensors.Select(tensor => tensor.Spec)] };
        Vocabulary? vocabulary = preparedText ? _preparation.Value?.Vocabulary : _vocabulary;
        return new(shape, Metadata(type, shape, vocabulary), tensors);
    }

    private GgufMetadata Metadata(WeightType type, ModelShape shape, Vocabulary? vocabulary)
    {
        var metadata = new GgufMetadata
        {
            ["general.architecture"] = _architecture.Name,
            ["general.type"] = "model",
            ["general.name"] = _reading.Shape.Name,
            ["general.file_type"] = type == WeightType.AsStored ? WeightTypes.FileTypeOf(shape.Tensors) : type.FileType(),
            ["general.quantization_version"] = 2u, // ggml.h, GGML_QNT_VERSION
        };
        foreach ((string key, object value) in _reading.Metadata) metadata[key] = value;
        if (vocabulary is not null) vocabulary.WriteTo(metadata);
        else metadata["tokenizer.ggml.model"] = "none";
        return metadata;
    }

    private static string ModelName(string folder) => new DirectoryInfo(folder).Name;

    private static int? TokenId(ConfigReader config, string key) => config.FirstInt(key, -1, int.MaxValue) is { } id and >= 0 ? id : null;

    // The type that absent weights would have.
    private static TensorType StoredType(ConfigReader config) => (config.OptionalString("dtype") ?? config.OptionalString("torch_dtype")) switch
    {
        "float16" => TensorType.F16,
        "float32" => TensorType.F32,
        _ => TensorType.BF16,
    };

    private static TensorSource Source(MappedTensor tensor, StoredWeights weights, TensorType configType)
    {
        long[] shape = [.. tensor.Dimensions.Reverse()];
        if (!weights.HasData)
        {
            if (!weights.Names(tensor.HuggingFace)) throw Missing(tensor, weights);
            return new AbsentSource(weights.IndexName, shape.Length == 1 ? TensorType.F32 : weights.AbsentType(tensor.HuggingFace, shape[^1]) ?? configType, shape.SkipLast(1).Aggregate(1L, (product, extent) => product * extent), shape[^1]);
        }
        (ImmutableArray<long> stored, TensorSource source) = weights.Find(tensor.HuggingFace) ?? throw Missing(tensor, weights);
        if (!stored.AsSpan().SequenceEqual(shape))
            throw new CheckpointException(weights.FileOf(tensor.HuggingFace), tensor.HuggingFace, $"has shape [{string.Join(", ", stored)}], and config.json says [{string.Join(", ", shape)}]");
        if (tensor.Rule.Order == RowOrder.AsStored) return source;
        // The rows of a reordered vector are its elements.
        return new RotaryPairs(shape.Length == 1 ? new ElementRows(source) : source, tensor.Layer.KeyLength);
    }

    private static CheckpointException Missing(MappedTensor tensor, StoredWeights weights) => new(weights.IndexName, tensor.HuggingFace, "is missing, and the configuration needs it");

    // A tensor that no rule reads may change what the model computes; it is never dropped in silence.
    private static void RejectUnmapped(StoredWeights weights, List<MappedTensor> mapped, ConfigReader config)
    {
        HashSet<string> known = [.. mapped.Select(tensor => tensor.HuggingFace)];
        if (!DecoderTensors.Untied(config)) known.Add("lm_head.weight");
        foreach (string name in weights.All)
        {
            if (known.Contains(name) || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)) continue;
            throw new UnsupportedModelException($"{weights.FileOf(name)}: {name}: this tensor has no place in the {config.Strings("architectures").First()} graph with this configuration");
        }
    }
}
