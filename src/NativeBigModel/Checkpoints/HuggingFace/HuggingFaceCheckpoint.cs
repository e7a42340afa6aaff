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

    private HuggingFaceCheckpoint(string folder, FolderTensors tensors, Architecture architecture, ArchitectureReading reading,
        IReadOnlyList<(MappedTensor, TensorSource)> sources, Vocabulary? vocabulary)
        : base(folder, CheckpointFormat.HuggingFace, tensors.Stored, reading.Shape) =>
        (_architecture, _reading, _sources, _vocabulary, _preparation) =
        (architecture, reading, sources, vocabulary, new(() => vocabulary is null ? null : new TextPreparation(TokenizerFiles.TokenizerJson, vocabulary.Tokens, vocabulary.Kinds, vocabulary.Text, PreTokenizers.Find(vocabulary.PreTokenizer))));

    internal override TextPreparation? Preparation => _preparation.Value;

    public static new HuggingFaceCheckpoint Open(string folder)
    {
        using JsonDocument document = JsonFile.Open(System.IO.Path.Combine(folder, "config.json"), MaxConfigBytes);
        var config = new ConfigReader("config.json", "", document.RootElement);
        Architecture architecture = ArchitectureRegistry.ForHuggingFace(config);
        if (config.Has("quantization_config"))
            throw new UnsupportedModelException($"config.json: quantization_config: quantised checkpoints ('{config.OptionalObject("quantization_config")!.OptionalString("quant_method") ?? "unnamed"}') are not read yet");
        ArchitectureReading reading = architecture.Read(config, ModelName(folder));
        FolderTensors tensors = FolderTensors.Read(folder);
        List<MappedTensor> mapped = [.. architecture.Tensors.Expand(reading.Shape, config)];
        TensorType configType = StoredType(config);
        List<(MappedTensor, TensorSource)> sources = [.. mapped.Select(tensor => (tensor, Source(tensor, tensors, configType)))];
        RejectUnmapped(tensors, mapped, config);
        var ids = new TokenIds(TokenId(config, "bos_token_id"), TokenId(config, "eos_token_id"), TokenId(config, "pad_token_id"));
        return new(folder, tensors, architecture, reading, sources, HuggingFaceTokenizer.Read(folder, reading.Shape.VocabularySize, ids));
    }

    internal override ModelDefinition Define(WeightType type, bool preparedText = false)
    {
        List<(TensorSpec Stored, TensorSource Source)> stored =
            [.. _sources.Select(tensor => (new TensorSpec(tensor.Mapped.Gguf, [.. tensor.Mapped.Dimensions], tensor.Source.Type), tensor.Source))];
        if (_reading.RotaryFactors is { } factors)
            stored.Add((new TensorSpec("rope_freqs.weight", [factors.Length], TensorType.F32), new ConstantSource(factors)));
        TensorType[] types = QuantizationMix.Choose(_reading.Shape, type, [.. stored.Select(tensor => tensor.Stored)]);
        List<ModelTensor> tensors = [.. stored.Zip(types, (tensor, chosen) => new ModelTensor(tensor.Stored with { Type = chosen }, tensor.Source))];
        ModelShape shape = _reading.Shape with { Tensors = [.. tensors.Select(tensor => tensor.Spec)] };
        GgufMetadata metadata = Metadata(type, stored[0].Stored.Type);
        if (preparedText) Preparation?.Adapt(metadata);
        return new(shape, metadata, tensors);
    }

    private GgufMetadata Metadata(WeightType type, TensorType embeddingType)
    {
        WeightType named = type != WeightType.AsStored ? type : embeddingType switch
        {
            TensorType.F16 => WeightType.F16,
            TensorType.BF16 => WeightType.BF16,
            _ => WeightType.F32,
        };
        var metadata = new GgufMetadata
        {
            ["general.architecture"] = _architecture.Name,
            ["general.type"] = "model",
            ["general.name"] = _reading.Shape.Name,
            ["general.file_type"] = named.FileType(),
            ["general.quantization_version"] = 2u, // ggml.h, GGML_QNT_VERSION
        };
        foreach ((string key, object value) in _reading.Metadata) metadata[key] = value;
        if (_vocabulary is not null) _vocabulary.WriteTo(metadata);
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

    private static TensorSource Source(MappedTensor tensor, FolderTensors files, TensorType configType)
    {
        bool vector = tensor.Dimensions.Length == 1;
        // The rows of a reordered vector are its elements.
        bool byElement = vector && tensor.Rule.Order != RowOrder.AsStored;
        long columns = byElement ? 1 : tensor.Dimensions[0];
        long rows = byElement ? tensor.Dimensions[0] : tensor.Dimensions.Skip(1).Aggregate(1L, (product, extent) => product * extent);
        if (!files.HasData)
        {
            if (!files.Names(tensor.HuggingFace)) throw new CheckpointException(files.IndexName, tensor.HuggingFace, "is missing, and the configuration needs it");
            return new AbsentSource(files.IndexName, vector ? TensorType.F32 : configType, rows, columns);
        }
        StoredTensor stored = files.Find(tensor.HuggingFace) ?? throw new CheckpointException(files.IndexName, tensor.HuggingFace, "is missing, and the configuration needs it");
        string file = System.IO.Path.GetFileName(stored.File);
        if (!stored.Shape.AsSpan().SequenceEqual([.. tensor.Dimensions.Reverse()]))
            throw new CheckpointException(file, tensor.HuggingFace, $"has shape [{string.Join(", ", stored.Shape)}], and config.json says [{string.Join(", ", tensor.Dimensions.Reverse())}]");
        TensorType type = Safetensors.SafetensorsTypes.AsTensorType(stored.DataType)
            ?? throw new UnsupportedModelException($"{file}: {tensor.HuggingFace}: element type {stored.DataType} is not read yet; F32, F16 and BF16 are");
        var source = new StoredSource(stored, type, rows, columns);
        return tensor.Rule.Order switch
        {
            RowOrder.AsStored => source,
            _ => new RotaryPairs(source, tensor.Layer.KeyLength),
        };
    }

    // A tensor that no rule reads may change what the model computes; it is never dropped in silence.
    private static void RejectUnmapped(FolderTensors files, List<MappedTensor> mapped, ConfigReader config)
    {
        HashSet<string> known = [.. mapped.Select(tensor => tensor.HuggingFace)];
        if (!DecoderTensors.Untied(config)) known.Add("lm_head.weight");
        foreach (StoredTensor tensor in files.Stored)
        {
            if (known.Contains(tensor.Name) || tensor.Name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal)) continue;
            throw new UnsupportedModelException($"{System.IO.Path.GetFileName(tensor.File)}: {tensor.Name}: this tensor has no place in the {config.Strings("architectures").First()} graph with this configuration");
        }
    }
}
