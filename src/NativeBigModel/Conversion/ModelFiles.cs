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
    /// <summary>Writes all parts of a model; existing files are replaced at the end. Returns what was lost.</summary>
    public static LossSample Write(IReadOnlyList<FilePart> parts, IReadOnlyList<ModelTensor> tensors, IProgress<LoadProgress>? progress, CancellationToken cancel)
    {
        if (tensors.Any(tensor => tensor.Spec.Type.IsQuantized() && tensor.Spec.Type != tensor.Source.Type)) EngineLibrary.Load();
        LossSample losses = new();
        string mark = $".{Guid.NewGuid():N}.partial";
        try
        {
            using (var files = new CheckpointFiles(once: true))
            using (var sink = new FileSink(parts, tensors, mark))
            {
                var tracker = new ProgressTracker(progress, tensors.Sum(tensor => tensor.Spec.Bytes));
                TensorPump.Run(tensors, files, sink, tracker.Add, cancel, losses);
                sink.Complete();
            }
            foreach (FilePart part in parts) File.Move(part.Path + mark, part.Path, overwrite: true);
            return losses;
        }
        catch
        {
            foreach (FilePart part in parts) File.Delete(part.Path + mark);
            throw;
        }
    }

    private sealed class FileSink : ITensorSink, IDisposable
    {
        // What stands in a file between a tensor and the next is written with the tensor's end.
        private readonly record struct Place(BlockWriter Output, long Offset, long Bytes, int Padding);

        private readonly List<BlockWriter> _outputs = [];
        private readonly List<Place> _places = [];

        public FileSink(IReadOnlyList<FilePart> parts, IReadOnlyList<ModelTensor> tensors, string mark)
        {
            try
            {
                foreach (FilePart part in parts) Open(part, tensors, mark);
            }
            catch
            {
                Dispose();
                throw;
            }
        }

        public Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory) => memory.Target(bytes);

        public void End(int tensor, long offset, ReadOnlySpan<byte> piece)
        {
            Place place = _places[tensor];
            place.Output.Write(place.Offset + offset, piece);
            if (offset + piece.Length == place.Bytes) place.Output.Write(place.Offset + place.Bytes, new byte[place.Padding]);
        }

        public void Complete() => _outputs.ForEach(output => output.Complete());

        public void Dispose() => _outputs.ForEach(output => output.Dispose());

        private void Open(FilePart part, IReadOnlyList<ModelTensor> tensors, string mark)
        {
            var output = new BlockWriter(part.Path + mark, part.Bytes);
            _outputs.Add(output);
            output.Write(0, part.Header);
            for (int i = 0; i < part.Offsets.Length; i++)
            {
                long bytes = tensors[part.First + i].Spec.Bytes, end = part.Offsets[i] + bytes, next = i + 1 < part.Offsets.Length ? part.Offsets[i + 1] : part.Bytes;
                _places.Add(new(output, part.Offsets[i], bytes, checked((int)(next - end))));
            }
        }
    }
}
