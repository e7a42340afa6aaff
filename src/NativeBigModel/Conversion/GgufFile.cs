using Microsoft.Win32.SafeHandles;
using NativeBigModel.Checkpoints;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Native;
using NativeBigModel.Tensors;

namespace NativeBigModel.Conversion;

/// <summary>Makes whole GGUF files: written beside their place, each tensor at once where it belongs, and renamed when complete.</summary>
internal static class GgufFile
{
    /// <summary>Writes the file; an existing one is replaced at the end.</summary>
    /// <returns>Its size, and where each tensor's data begins.</returns>
    public static (long Bytes, long[] Offsets) Write(string path, GgufMetadata metadata, IReadOnlyList<ModelTensor> tensors, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (tensors.Any(tensor => tensor.Spec.Type.IsQuantized() && tensor.Spec.Type != tensor.Source.Type)) EngineLibrary.Load();
        List<TensorSpec> specs = [.. tensors.Select(tensor => tensor.Spec)];
        (byte[] header, long[] offsets) = GgufWriter.Write(metadata, specs);
        long bytes = Size(header.Length, offsets, specs);
        string partial = $"{path}.{Guid.NewGuid():N}.partial";
        try
        {
            using (var files = new CheckpointFiles())
            using (SafeFileHandle output = File.OpenHandle(partial, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, bytes))
            {
                RandomAccess.Write(output, header, 0);
                var tracker = new ProgressTracker(progress, specs.Sum(spec => spec.Bytes));
                TensorPump.Run(tensors, files, new FileSink(output, offsets), tracker.Add, cancel);
                RandomAccess.SetLength(output, bytes);
                RandomAccess.FlushToDisk(output);
            }
            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
        return (bytes, offsets);
    }

    /// <summary>What <see cref="Write"/> would return for these tensors.</summary>
    public static (long Bytes, long[] Offsets) Layout(GgufMetadata metadata, IReadOnlyList<ModelTensor> tensors)
    {
        List<TensorSpec> specs = [.. tensors.Select(tensor => tensor.Spec)];
        (byte[] header, long[] offsets) = GgufWriter.Write(metadata, specs);
        return (Size(header.Length, offsets, specs), offsets);
    }

    private static long Size(long header, long[] offsets, List<TensorSpec> specs) => offsets.Length == 0 ? header : GgufWriter.Align(offsets[^1] + specs[^1].Bytes);

    private sealed class FileSink(SafeFileHandle output, long[] offsets) : ITensorSink
    {
        public Span<byte> Begin(int tensor, long offset, int bytes, byte[] scratch) => scratch.AsSpan(0, bytes);

        public void End(int tensor, long offset, ReadOnlySpan<byte> piece) => RandomAccess.Write(output, piece, offsets[tensor] + offset);
    }
}
