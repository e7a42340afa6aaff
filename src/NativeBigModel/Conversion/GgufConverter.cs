using System.Collections.Immutable;
using System.Diagnostics;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>What a conversion made, or would make.</summary>
/// <param name="Path">Full path of the GGUF file, or of the first of several.</param>
/// <param name="Bytes">The size of all files.</param>
/// <param name="Tensors">Their tensors.</param>
/// <param name="Elapsed">Time it took.</param>
public sealed record ConversionResult(string Path, long Bytes, IReadOnlyList<TensorSpec> Tensors, TimeSpan Elapsed)
{
    /// <summary>Each file with its size.</summary>
    public IReadOnlyList<(string Path, long Bytes)> Files { get; init; } = [(Path, Bytes)];

    /// <summary>
    /// What quantising lost: of each type that was made, the squared error over the squares of the weights, on a sample of rows. Weights whose stored codes were kept are not in it.
    /// </summary>
    public IReadOnlyDictionary<TensorType, double> Losses { get; init; } = ImmutableDictionary<TensorType, double>.Empty;
}

/// <summary>Writes checkpoints as GGUF files that any llama.cpp reads.</summary>
public static class GgufConverter
{
    /// <summary>
    /// Converts in one pass: each tensor is read once, encoded a few rows at a time and written to its final place. The file is made beside
    /// <paramref name="outputPath"/> and renamed when it is complete; a run that stops early leaves nothing under that name.
    /// </summary>
    /// <param name="checkpoint">The model; it must have its weights.</param>
    /// <param name="outputPath">The file to make; an existing one is replaced at the end.</param>
    /// <param name="type">How to store the weights.</param>
    /// <param name="progress">Told about every hundredth of the way, from any thread.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <exception cref="CheckpointException">The weights are missing, damaged, or hold values that the type cannot.</exception>
    /// <exception cref="UnsupportedModelException">The weights cannot be brought into the type.</exception>
    /// <exception cref="EngineException">A quantised type is asked for and ggml cannot be loaded.</exception>
    /// <exception cref="IOException">The output cannot be written.</exception>
    public static Task<ConversionResult> ConvertAsync(Checkpoint checkpoint, string outputPath, WeightType type,
        IProgress<LoadProgress>? progress = null, CancellationToken cancel = default) => ConvertAsync(checkpoint, outputPath, new ConversionOptions { Type = type }, progress, cancel);

    /// <inheritdoc cref="ConvertAsync(Checkpoint, string, WeightType, IProgress{LoadProgress}?, CancellationToken)"/>
    /// <param name="checkpoint">The model; it must have its weights.</param>
    /// <param name="outputPath">The file to make; existing ones are replaced at the end. Parts of a split model have their numbers behind its name.</param>
    /// <param name="options">How to write it.</param>
    /// <param name="progress">Told about every hundredth of the way, from any thread.</param>
    /// <param name="cancel">Stops within a fraction of a second.</param>
    /// <exception cref="InvalidOptionException">An option contradicts the model.</exception>
    public static Task<ConversionResult> ConvertAsync(Checkpoint checkpoint, string outputPath, ConversionOptions options,
        IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentException.ThrowIfNullOrEmpty(outputPath);
        ArgumentNullException.ThrowIfNull(options);
        return Task.Run(() =>
        {
            long started = Stopwatch.GetTimestamp();
            if (!checkpoint.HasWeights) throw new CheckpointException(Path.GetFileName(checkpoint.Path), "weights", "the checkpoint holds no weight files, only a configuration");
            (ModelDefinition definition, IReadOnlyList<FilePart> parts) = Lay(checkpoint, outputPath, options);
            LossSample losses = ModelFiles.Write(parts, definition.Tensors, progress, cancel);
            progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
            return Result(definition, parts) with { Elapsed = Stopwatch.GetElapsedTime(started), Losses = losses.ByType };
        }, cancel);
    }

    /// <summary>What a conversion would make, to the byte. Nothing is written and no weight is read; a checkpoint without its weight files will do.</summary>
    /// <param name="checkpoint">The model.</param>
    /// <param name="outputPath">The file that would be made.</param>
    /// <param name="options">How it would be written.</param>
    /// <exception cref="InvalidOptionException">An option contradicts the model.</exception>
    /// <exception cref="UnsupportedModelException">The weights cannot be brought into the type.</exception>
    public static ConversionResult Preview(Checkpoint checkpoint, string outputPath, ConversionOptions options)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentException.ThrowIfNullOrEmpty(outputPath);
        ArgumentNullException.ThrowIfNull(options);
        (ModelDefinition definition, IReadOnlyList<FilePart> parts) = Lay(checkpoint, outputPath, options);
        TensorPump.RequireEncodable(definition.Tensors);
        return Result(definition, parts);
    }

    private static (ModelDefinition Definition, IReadOnlyList<FilePart> Parts) Lay(Checkpoint checkpoint, string outputPath, ConversionOptions options)
    {
        if (options.MaxFileBytes is <= 0) throw new InvalidOptionException($"files of {options.MaxFileBytes} bytes: at least 1 is needed");
        ModelDefinition definition = checkpoint.Define(options.Type, options: options);
        foreach (string text in options.Metadata) MetadataOverride.Apply(definition.Metadata, text);
        // What was set by hand may contradict the tensors.
        if (options.Metadata.Length > 0) GgufShape.Read(Path.GetFileName(outputPath), definition.Metadata, definition.Shape.Tensors);
        return (definition, GgufParts.Lay(Path.GetFullPath(outputPath), definition.Metadata, definition.Shape.Tensors, options.MaxFileBytes));
    }

    private static ConversionResult Result(ModelDefinition definition, IReadOnlyList<FilePart> parts) =>
        new(parts[0].Path, parts.Sum(part => part.Bytes), definition.Shape.Tensors, default) { Files = [.. parts.Select(part => (part.Path, part.Bytes))] };
}
