using System.Diagnostics;
using System.Text.Json.Nodes;
using NativeBigModel.Architectures;
using NativeBigModel.Checkpoints.Safetensors;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;
using NativeBigModel.Tokenizers;

namespace NativeBigModel;

/// <summary>Writes GGUF files of floats as Hugging Face folders: the way back of <see cref="GgufConverter"/>, bit by bit.</summary>
public static class FolderConverter
{
    // As transformers cuts them.
    private const long MaxFileBytes = 5L << 30;

    private const string Weights = "model";

    /// <summary>Makes a folder with config.json, safetensors files and the tokenizer's files.</summary>
    /// <param name="checkpoint">A GGUF file of a family whose weights can be told from its tensors: Llama (which Mistral is), Qwen 2 or Qwen 3, in floats.</param>
    /// <param name="folder">The folder to make; it must not be there, or be empty.</param>
    /// <param name="type">F32, F16, BF16, or as stored.</param>
    /// <param name="progress">Told about every hundredth of the way, from any thread.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <exception cref="InvalidOptionException">The folder has files, or the type is quantised.</exception>
    /// <exception cref="UnsupportedModelException">The file is of another family, quantised, or says what a configuration cannot.</exception>
    /// <exception cref="CheckpointException">The weights are damaged.</exception>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    public static Task<ConversionResult> ConvertAsync(Checkpoint checkpoint, string folder, WeightType type = WeightType.AsStored, IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return Task.Run(() => Convert(checkpoint, Path.GetFullPath(folder), type, progress, cancel), cancel);
    }

    private static ConversionResult Convert(Checkpoint checkpoint, string folder, WeightType type, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        long started = Stopwatch.GetTimestamp();
        if (checkpoint.Format != CheckpointFormat.Gguf) throw new InvalidOptionException($"{folder}: a Hugging Face folder is made of a GGUF file, and {checkpoint.Path} is none");
        if (type.BaseType() is { } one && one.IsQuantized()) throw new InvalidOptionException($"type {type}: a folder has F32, F16 or BF16 weights");
        if (Directory.Exists(folder) && Directory.EnumerateFileSystemEntries(folder).Any()) throw new InvalidOptionException($"{folder}: has files in it");
        ModelDefinition definition = checkpoint.Define(type);
        JsonObject config = HuggingFaceConfig.Of(definition, System.IO.Path.GetFileName(checkpoint.Path));
        List<ModelTensor> tensors = [.. HuggingFaceConfig.Weights(definition)];
        IReadOnlyDictionary<string, string> tokenizer = TokenizerWriter.Files(definition.Metadata, System.IO.Path.GetFileName(checkpoint.Path), out byte[]? pieces);
        Directory.CreateDirectory(folder);
        IReadOnlyList<FilePart> parts = Lay(folder, tensors);
        ModelFiles.Write(parts, tensors, progress, cancel);
        if (parts.Count > 1) Write(Path.Combine(folder, $"{Weights}.safetensors.index.json"), Index(parts, tensors).ToJsonString());
        if (pieces is not null) File.WriteAllBytes(Path.Combine(folder, "tokenizer.model"), pieces);
        foreach ((string name, string text) in tokenizer) Write(Path.Combine(folder, name), text);
        Write(Path.Combine(folder, "config.json"), config.ToJsonString(HuggingFaceConfig.Indented));
        progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
        return new(folder, parts.Sum(part => part.Bytes), [.. tensors.Select(tensor => tensor.Spec)], Stopwatch.GetElapsedTime(started)) { Files = [.. parts.Select(part => (part.Path, part.Bytes))] };
    }

    private static List<FilePart> Lay(string folder, List<ModelTensor> tensors)
    {
        List<int> starts = [0];
        long bytes = 0;
        for (int i = 0; i < tensors.Count; i++)
        {
            if (bytes > 0 && bytes + tensors[i].Spec.Bytes > MaxFileBytes)
            {
                starts.Add(i);
                bytes = 0;
            }
            bytes += tensors[i].Spec.Bytes;
        }
        return [.. starts.Select((start, number) =>
        {
            string name = starts.Count == 1 ? $"{Weights}.safetensors" : $"{Weights}-{number + 1:d5}-of-{starts.Count:d5}.safetensors";
            int end = number + 1 < starts.Count ? starts[number + 1] : tensors.Count;
            return SafetensorsWriter.Lay(Path.Combine(folder, name), start, [.. tensors[start..end].Select(tensor => tensor.Spec)]);
        })];
    }

    private static JsonObject Index(IReadOnlyList<FilePart> parts, List<ModelTensor> tensors)
    {
        var map = new JsonObject();
        foreach (FilePart part in parts)
        {
            for (int i = 0; i < part.Offsets.Length; i++) map[tensors[part.First + i].Spec.Name] = Path.GetFileName(part.Path);
        }
        return new() { ["metadata"] = new JsonObject { ["total_size"] = tensors.Sum(tensor => tensor.Spec.Bytes) }, ["weight_map"] = map };
    }

    private static void Write(string path, string text)
    {
        string partial = $"{path}.{Guid.NewGuid():N}.partial";
        File.WriteAllText(partial, text);
        File.Move(partial, path, overwrite: true);
    }
}
