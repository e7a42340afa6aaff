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

    private HuggingFaceCheckpoint(string folder, FolderTensors tensors, string? quantization, Architecture architecture, ArchitectureReading reading,
        IReadOnlyList<(MappedTensor, TensorSource)> sources, Vocabulary? vocabulary, string? note)
        : base(folder, CheckpointFormat.HuggingFace, tensors.Stored, reading.Shape, note)
    {
        (Quantization, _architecture, _reading, _sources, _vocabulary) = (quantization, architecture, reading, sources, vocabulary);
        Text = CheckpointText.Of(vocabulary, () => Define(WeightType.AsStored).Metadata);
    }

    public override string? Quantization { get; }

    internal override CheckpointText Text { get; }

    public static new HuggingFaceCheckpoint Open(string folder, IReadOnlyList<string> adapters)
    {
        using JsonDocument document = JsonFile.Open(System.IO.Path.Combine(folder, "config.json"), MaxConfigBytes);
        return Open(folder, adapters, TextPart.Of(new ConfigReader("config.json", "", document.RootElement)));
    }

    private static HuggingFaceCheckpoint Open(string folder, IReadOnlyList<string> adapters, ConfigReader config)
    {
        Architecture architecture = ArchitectureRegistry.ForHuggingFace(config);
        ArchitectureReading reading = architecture.Read(config, ModelName(folder));
        RequireWidth(architecture, reading.Shape);
        if (reading.Shape.Kind == ModelKind.Encoder && SentencePooling.Read(folder) is { } pooling) reading.With("pooling_type", (uint)pooling);
        FolderTensors tensors = FolderTensors.Read(folder);
        if (adapters.Count > 0 && !tensors.HasData) throw new CheckpointException("config.json", "weights", "no weight files are there that an adapter could be merged into");
        StoredWeights stored = StoredWeights.Of(tensors, config, [.. adapters.Select(LoraAdapter.Read)]);
        var weights = new WeightReader(stored, architecture.BasePrefix, StoredType(config), config.IsTextPart);
        List<(MappedTensor, TensorSource)> sources = [.. architecture.Tensors.Expand(reading.Shape, config)
            .Select(tensor => (tensor, tensor.Rule.HuggingFace.Open(weights, new Place(reading.Shape, tensor.Layer, config), tensor.Dimensions)))];
        if (!config.HasOwnOutput && HasOwnOutput(weights, architecture, reading.Shape)) return Open(folder, adapters, config.WithOwnOutput());
        RejectUnread(weights, architecture, config);
        stored.RequireAdaptersRead();
        // An adapter changes the embedding alone, and a tied output would change with it.
        if (sources.Exists(tensor => tensor.Item1.Gguf == "token_embd.weight" && tensor.Item2 is LowRankSource) && !sources.Exists(tensor => tensor.Item1.Gguf == "output.weight"))
            throw new UnsupportedModelException("adapter_config.json: target_modules: changes the token embedding, which this model uses as its output too");
        return new(folder, tensors, stored.Quantization, architecture, reading, sources, HuggingFaceTokenizer.Read(folder, reading.Shape.VocabularySize, NamedIds(config)), config.IsTextPart ? TextPart.Note : null);
    }

    /// <summary>What a folder says of texts, whatever its model is.</summary>
    /// <exception cref="CheckpointException">It is malformed, or has no tokenizer.</exception>
    /// <exception cref="UnsupportedModelException">llama.cpp cannot tokenize as the folder asks.</exception>
    public static CheckpointText ReadText(string folder)
    {
        using JsonDocument document = JsonFile.Open(System.IO.Path.Combine(folder, "config.json"), MaxConfigBytes);
        ConfigReader config = TextPart.Of(new ConfigReader("config.json", "", document.RootElement));
        ConfigReader words = config.Has("vocab_size") ? config : config.OptionalObject("text_config") ?? config;
        int count = words.Int(words.FirstOf("vocab_size", "padded_vocab_size"), 1, DecoderConfig.MaxExtent);
        Vocabulary vocabulary = HuggingFaceTokenizer.Read(folder, count, NamedIds(config)) ?? throw new CheckpointException(ModelName(folder), "tokenizer", "there is no file of one");
        return CheckpointText.Of(vocabulary, () =>
        {
            // llama.cpp reads no more of a graph than its name where it loads a vocabulary alone.
            var metadata = new GgufMetadata { ["general.architecture"] = "llama" };
            vocabulary.WriteTo(metadata);
            return metadata;
        });
    }

    internal override ModelDefinition Define(WeightType type, bool preparedText = false, ConversionOptions? options = null)
    {
        List<(TensorSpec Stored, TensorSource Source)> stored =
            [.. _sources.Select(tensor => (new TensorSpec(tensor.Mapped.Gguf, [.. tensor.Mapped.Dimensions], tensor.Source.StoredType), tensor.Source))];
        foreach ((string name, float[] values) in _reading.Constants)
            stored.Add((new TensorSpec(name, [values.Length], TensorType.F32), new ConstantSource(values)));
        TensorType[] types = QuantizationMix.Choose(_reading.Shape, type, [.. stored.Select(tensor => tensor.Stored)], options?.TypeOverrides, options?.Importance is not null);
        List<ModelTensor> tensors = [.. stored.Zip(types, (tensor, chosen) =>
            new ModelTensor(tensor.Stored with { Type = chosen }, tensor.Source.As(chosen)) { Importance = options?.Importance?.Find(tensor.Stored) })];
        ModelShape shape = _reading.Shape with { Tensors = [.. tensors.Select(tensor => tensor.Spec)] };
        GgufMetadata metadata = Metadata(type, shape);
        if (preparedText) Text.Preparation?.Adapt(metadata);
        return new(shape, metadata, tensors);
    }

    private GgufMetadata Metadata(WeightType type, ModelShape shape)
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
        if (_vocabulary is not null) _vocabulary.WriteTo(metadata);
        else metadata["tokenizer.ggml.model"] = "none";
        return metadata;
    }

    private static string ModelName(string folder) => new DirectoryInfo(folder).Name;

    private static TokenIds NamedIds(ConfigReader config) => new(TokenId(config, "bos_token_id"), TokenId(config, "eos_token_id"), TokenId(config, "pad_token_id"));

    private static int? TokenId(ConfigReader config, string key) => config.FirstInt(key, -1, int.MaxValue) is { } id and >= 0 ? id : null;

    // The type that absent weights would have.
    private static TensorType StoredType(ConfigReader config) => (config.OptionalString("dtype") ?? config.OptionalString("torch_dtype")) switch
    {
        "float16" => TensorType.F16,
        "float32" => TensorType.F32,
        _ => TensorType.BF16,
    };

    private static void RequireWidth(Architecture architecture, ModelShape shape)
    {
        LayerShape layer = shape.Layers[0];
        if (architecture.Graph.AsWideAsModel && (long)layer.HeadCount * layer.KeyLength != shape.EmbeddingLength)
            throw new UnsupportedModelException($"config.json: head_dim: {layer.HeadCount} heads of {layer.KeyLength} are not hidden_size, {shape.EmbeddingLength}, as llama.cpp's {shape.Architecture} graph needs");
    }

    // transformers ties what config.json ties unless both weights are there and differ (modeling_utils.py).
    private static bool HasOwnOutput(WeightReader weights, Architecture architecture, ModelShape shape)
    {
        if (!weights.HasData) return false;
        string embedding = architecture.Tensors.Rules.First(rule => rule.Gguf == "token_embd.weight").HuggingFace.Patterns.Single();
        long[] dimensions = [shape.EmbeddingLength, shape.VocabularySize];
        return weights.Unread().Intersect(OutputNames(architecture)).FirstOrDefault() is { } output && !weights.AreAlike(output, embedding, dimensions);
    }

    private static IEnumerable<string> OutputNames(Architecture architecture) =>
        architecture.Tensors.Rules.Where(rule => rule.Gguf == "output.weight").SelectMany(rule => rule.HuggingFace.Patterns);

    // A tensor that no rule reads may change what the model computes; it is never dropped in silence.
    private static void RejectUnread(WeightReader weights, Architecture architecture, ConfigReader config)
    {
        HashSet<string> tied = [.. OutputNames(architecture)];
        foreach (string name in weights.Unread())
        {
            if (tied.Contains(name) || name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal) || architecture.IsNoWeight(name, config)) continue;
            throw new UnsupportedModelException($"{weights.FileOf(name)}: {name}: this tensor has no place in the {config.Strings("architectures").First()} graph with this configuration");
        }
    }
}
