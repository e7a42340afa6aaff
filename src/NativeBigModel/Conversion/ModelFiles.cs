using Microsoft.Win32.SafeHandles;
using NativeBigModel.Checkpoints;
using NativeBigModel.Native;
using NativeBigModel.Tensors;

namespace NativeBigModel.Conversion;

/// <summary>One file of a model that is about to be written.</summary>
/// <param name="Path">Where it will be.</param>
/// <param name="Header">What stands before its data.</param>
/// <param name="First">The number of its first tensor.</param>
/// <param name="Offsets">Where the data of each of its tensors begins.</param>
/// <param name="Bytes">Its size.</param>
internal sealed record FilePart(string Path, byte[] Header, int First, long[] Offsets, long Bytes);

/// <summary>Writes a model's files beside their places, each tensor at once where it belongs, and renames them when all are complete.</summary>
internal static class ModelFiles
{
    /// <summary>Writes all parts of a model; existing files are replaced at the end.</summary>
    public static void Write(IReadOnlyList<FilePart> parts, IReadOnlyList<ModelTensor> tensors, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (tensors.Any(tensor => tensor.Spec.Type.IsQuantized() && tensor.Spec.Type != tensor.Source.Type)) EngineLibrary.Load();
        string mark = $".{Guid.NewGuid():N}.partial";
        try
        {
            using (var files = new CheckpointFiles())
            using (var sink = new FileSink(parts, mark))
            {
                var tracker = new ProgressTracker(progress, tensors.Sum(tensor => tensor.Spec.Bytes));
                TensorPump.Run(tensors, files, sink, tracker.Add, cancel);
                sink.Complete();
            }
            foreach (FilePart part in parts) File.Move(part.Path + mark, part.Path, overwrite: true);
        }
        catch
        {
            foreach (FilePart part in parts) File.Delete(part.Path + mark);
            throw;
        }
    }

    private sealed class FileSink : ITensorSink, IDisposable
    {
        // So much is on its way to the disk at a time, beside the work, and the rest of it when all is written.
        private const long WriteBackBytes = 32L << 20;

        private long _written;
        private readonly IReadOnlyList<FilePart> _parts;
        private readonly List<SafeFileHandle> _outputs = [];
        private readonly List<(int Part, long Offset)> _places;

        public FileSink(IReadOnlyList<FilePart> parts, string mark)
        {
            _parts = parts;
            _places = [.. parts.SelectMany((part, number) => part.Offsets.Select(offset => (number, offset)))];
            foreach (FilePart part in parts)
            {
                _outputs.Add(File.OpenHandle(part.Path + mark, FileMode.CreateNew, FileAccess.Write, FileShare.None, FileOptions.None, part.Bytes));
                RandomAccess.Write(_outputs[^1], part.Header, 0);
            }
        }

        public Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory) => memory.Target(bytes);

        public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
        {
            SafeFileHandle output = _outputs[_places[tensor].Part];
            RandomAccess.Write(output, piece, _places[tensor].Offset + offset);
            long written = Interlocked.Add(ref _written, piece.Length);
            if (written / WriteBackBytes != (written - piece.Length) / WriteBackBytes) WriteBack.Begin(output);
        }

        public void Complete()
        {
            for (int i = 0; i < _outputs.Count; i++)
            {
                RandomAccess.SetLength(_outputs[i], _parts[i].Bytes);
                RandomAccess.FlushToDisk(_outputs[i]);
            }
        }

        public void Dispose() => _outputs.ForEach(output => output.Dispose());
    }
}
