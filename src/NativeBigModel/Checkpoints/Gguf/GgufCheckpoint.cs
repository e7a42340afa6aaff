using System.Globalization;
using System.Text.RegularExpressions;
using NativeBigModel.Architectures;
using NativeBigModel.Conversion;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Checkpoints.Gguf;

/// <summary>A GGUF file, or all the parts of a split one.</summary>
internal sealed partial class GgufCheckpoint : Checkpoint
{
    private readonly GgufMetadata _metadata;
    private readonly ModelShape _shape;
    private readonly IReadOnlyList<(TensorSpec Spec, TensorSource Source)> _tensors;

    private GgufCheckpoint(string path, GgufMetadata metadata, ModelShape shape, IReadOnlyList<StoredTensor> stored, IReadOnlyList<(TensorSpec, TensorSource)> tensors)
        : base(path, CheckpointFormat.Gguf, stored, shape)
    {
        (_metadata, _shape, _tensors) = (metadata, shape, tensors);
        GgufKeys keys = new(System.IO.Path.GetFileName(path), metadata);
        Text = new(GgufVocabulary.ReadChatTemplates(keys), () => GgufVocabulary.ReadChatTokens(keys), () => GgufVocabulary.ReadPreparation(keys), Copy);
    }

    internal override CheckpointText Text { get; }

    public static new GgufCheckpoint Open(string path)
    {
        List<GgufHeader> parts = ReadParts(path);
        GgufMetadata metadata = parts[0].Metadata;
        var stored = new List<StoredTensor>();
        var tensors = new List<(TensorSpec Spec, TensorSource Source)>();
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (GgufHeader part in parts)
        {
            foreach ((TensorSpec spec, long offset) in part.Tensors)
            {
                if (!names.Add(spec.Name)) throw new CheckpointException(System.IO.Path.GetFileName(part.Path), spec.Name, "is also in an earlier part");
                var tensor = new StoredTensor(spec.Name, spec.Type.ToString(), [.. spec.Dimensions.Reverse()], part.Path, offset, spec.Bytes);
                stored.Add(tensor);
                tensors.Add((spec, new StoredSource(tensor, spec.Type, spec.Rows, spec.Columns)));
            }
        }
        // The engine and our own writer decide these anew.
        foreach (string key in (string[])["split.no", "split.count", "split.tensors.count", "general.alignment"]) metadata.Remove(key);
        string file = System.IO.Path.GetFileName(parts[0].Path);
        if (metadata.Find("general.architecture") is string name && ArchitectureRegistry.ForGguf(name) is { } family) tensors = [.. family.Adapt(tensors)];
        ModelShape shape = GgufShape.Read(file, metadata, [.. tensors.Select(tensor => tensor.Spec)]);
        return new(parts[0].Path, metadata, shape, stored, tensors);
    }

    internal override ModelDefinition Define(WeightType type, bool preparedText = false, ConversionOptions? options = null)
    {
        if (type == WeightType.AsStored && (options?.TypeOverrides.IsDefaultOrEmpty ?? true))
            return new(_shape, Text.Metadata(preparedText), [.. _tensors.Select(tensor => new ModelTensor(tensor.Spec, tensor.Source))]);
        if (type != WeightType.AsStored && _tensors.FirstOrDefault(tensor => tensor.Spec.Type.IsQuantized()).Spec is { } quantized)
            throw new UnsupportedModelException($"{System.IO.Path.GetFileName(Path)}: {quantized.Name}: is {quantized.Type} already; a quantised GGUF is used as it is");
        // Which tensors bear another type is known for the families whose maps we have; the engine asserts on some of the others.
        if (ArchitectureRegistry.ForGguf(_shape.Architecture) is null)
            throw new UnsupportedModelException($"{System.IO.Path.GetFileName(Path)}: general.architecture: '{_shape.Architecture}' is used as it is; converting its weights is not supported");
        TensorType[] types = QuantizationMix.Choose(_shape, type, _shape.Tensors, options?.TypeOverrides, options?.Importance is not null);
        List<ModelTensor> tensors = [.. _tensors.Zip(types, (tensor, chosen) =>
            new ModelTensor(tensor.Spec with { Type = chosen }, tensor.Source) { Importance = options?.Importance?.Find(tensor.Spec) })];
        GgufMetadata metadata = Text.Metadata(preparedText);
        if (type != WeightType.AsStored) metadata["general.file_type"] = type.FileType();
        return new(_shape with { Tensors = [.. tensors.Select(tensor => tensor.Spec)] }, metadata, tensors);
    }

    private GgufMetadata Copy()
    {
        var metadata = new GgufMetadata();
        foreach ((string key, object value) in _metadata) metadata[key] = value;
        return metadata;
    }

    private static List<GgufHeader> ReadParts(string path)
    {
        GgufHeader opened = GgufReader.Read(path);
        int count = SplitCount(opened);
        if (count <= 1) return [opened];
        string name = System.IO.Path.GetFileName(path);
        Match match = PartName().Match(name);
        if (!match.Success) throw new CheckpointException(name, "split.count", $"is {count}, and the name does not end with -00001-of-{count:d5}.gguf");
        var parts = new List<GgufHeader>();
        for (int i = 0; i < count; i++)
        {
            string part = string.Create(CultureInfo.InvariantCulture, $"{match.Groups[1].Value}-{i + 1:d5}-of-{count:d5}.gguf");
            string partPath = System.IO.Path.Combine(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!, part);
            if (!File.Exists(partPath)) throw new CheckpointException(part, "file", $"is missing: {name} is one of {count} parts");
            GgufHeader header = GgufReader.Read(partPath);
            if (SplitCount(header) != count) throw new CheckpointException(part, "split.count", $"is {SplitCount(header)}, and {name} says {count}");
            int number = SplitNumber(header, "split.no");
            if (number != i) throw new CheckpointException(part, "split.no", $"is {number}, and its name says {i}");
            parts.Add(header);
        }
        int total = parts.Sum(part => part.Tensors.Count), expected = SplitNumber(parts[0], "split.tensors.count");
        if (expected != total) throw new CheckpointException(name, "split.tensors.count", $"is {expected}, and the parts hold {total} tensors");
        return parts;
    }

    private static int SplitCount(GgufHeader header) => header.Metadata.Find("split.count") is null ? 1 : SplitNumber(header, "split.count");

    private static int SplitNumber(GgufHeader header, string key) => header.Metadata.Find(key) switch
    {
        ushort value => value,
        uint value and <= int.MaxValue => (int)value,
        int value and >= 0 => value,
        object value => throw new CheckpointException(System.IO.Path.GetFileName(header.Path), key, $"is {value}, and must be a count"),
        null => throw new CheckpointException(System.IO.Path.GetFileName(header.Path), key, "is missing from a split file"),
    };

    [GeneratedRegex(@"^(.*)-\d{5}-of-\d{5}\.gguf$", RegexOptions.Singleline)]
    private static partial Regex PartName();
}
