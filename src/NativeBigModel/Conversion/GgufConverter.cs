using System.Diagnostics;
using NativeBigModel.Conversion;
using NativeBigModel.Tensors;

namespace NativeBigModel;

/// <summary>What a conversion made.</summary>
/// <param name="Path">Full path of the GGUF file.</param>
/// <param name="Bytes">Its size.</param>
/// <param name="Tensors">Its tensors.</param>
/// <param name="Elapsed">Time it took.</param>
public sealed record ConversionResult(string Path, long Bytes, IReadOnlyList<TensorSpec> Tensors, TimeSpan Elapsed);

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
        IProgress<LoadProgress>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentException.ThrowIfNullOrEmpty(outputPath);
        return Task.Run(() => Convert(checkpoint, Path.GetFullPath(outputPath), type, progress, cancel), cancel);
    }

    private static ConversionResult Convert(Checkpoint checkpoint, string outputPath, WeightType type, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        long started = Stopwatch.GetTimestamp();
        if (!checkpoint.HasWeights) throw new CheckpointException(Path.GetFileName(checkpoint.Path), "weights", "the checkpoint holds no weight files, only a configuration");
        ModelDefinition definition = checkpoint.Define(type);
        (long bytes, _) = GgufFile.Write(outputPath, definition.Metadata, definition.Tensors, progress, cancel);
        progress?.Report(new LoadProgress(LoadPhase.Ready, definition.Shape.WeightBytes, definition.Shape.WeightBytes));
        return new ConversionResult(outputPath, bytes, definition.Shape.Tensors, Stopwatch.GetElapsedTime(started));
    }
}
