using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Conversion;

/// <summary>Where encoded tensors go: memory of the engine, or a file. Called from several threads, for pieces that do not overlap.</summary>
internal interface ITensorSink
{
    /// <summary>The span that the next piece is encoded into: the destination itself, or a part of <paramref name="scratch"/>.</summary>
    Span<byte> Begin(int tensor, long offset, int bytes, byte[] scratch);

    /// <summary>The piece is complete.</summary>
    void End(int tensor, long offset, ReadOnlySpan<byte> piece);
}

/// <summary>
/// Reads, encodes and delivers every tensor of a model, a few rows at a time and on all cores. Memory is bounded by the number of workers times
/// a piece, whatever the model's size.
/// </summary>
internal static class TensorPump
{
    // Small enough that cancelling is felt at once with the slowest quantiser, large enough for full reading speed.
    private const int PieceElements = 256 * 1024;
    private const int MaxWorkers = 16;

    private readonly record struct Piece(int Tensor, long FirstRow, long Rows);

    /// <summary>Runs to the end, or throws the first failure after all workers have stopped. The progress callback is told of bytes delivered, from any thread.</summary>
    public static void Run(IReadOnlyList<ModelTensor> tensors, CheckpointFiles files, ITensorSink sink, Action<long>? progress, CancellationToken cancel)
    {
        RequireEncodable(tensors);
        Piece[] pieces = [.. tensors.SelectMany((tensor, i) => Cut(tensor.Source, i))];
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Exception? failure = null;
        int next = -1;
        void Work()
        {
            var buffers = new Buffers();
            while (!stop.IsCancellationRequested)
            {
                int index = Interlocked.Increment(ref next);
                if (index >= pieces.Length) return;
                try
                {
                    long bytes = Deliver(tensors[pieces[index].Tensor], pieces[index], files, sink, buffers);
                    progress?.Invoke(bytes);
                }
                catch (Exception error)
                {
                    Interlocked.CompareExchange(ref failure, error, null);
                    stop.Cancel();
                }
            }
        }
        int workers = Math.Min(Math.Min(MaxWorkers, Environment.ProcessorCount), Math.Max(1, pieces.Length));
        Thread[] threads = [.. Enumerable.Range(0, workers).Select(i => new Thread(Work) { IsBackground = true, Name = $"tensor pump {i}" })];
        foreach (Thread thread in threads) thread.Start();
        foreach (Thread thread in threads) thread.Join();
        cancel.ThrowIfCancellationRequested();
        if (failure is not null) System.Runtime.ExceptionServices.ExceptionDispatchInfo.Throw(failure);
    }

    /// <summary>Refuses what no encoder makes of the tensors.</summary>
    /// <exception cref="UnsupportedModelException">A tensor cannot be brought into its type.</exception>
    /// <exception cref="InvalidOptionException">A type needs an importance matrix.</exception>
    public static void RequireEncodable(IReadOnlyList<ModelTensor> tensors)
    {
        foreach (ModelTensor tensor in tensors)
        {
            if (tensor.Importance is null && tensor.Source.Type != tensor.Spec.Type && tensor.Spec.Type.NeedsImportance())
                throw new InvalidOptionException($"{tensor.Spec.Name}: {tensor.Spec.Type} needs an importance matrix for it, which nbm convert reads from --imatrix");
            if (!RowEncoder.CanEncode(tensor.Source.Type, tensor.Spec.Type))
                throw new UnsupportedModelException($"{tensor.Spec.Name}: cannot be made {tensor.Spec.Type} from {tensor.Source.Type}");
        }
    }

    private static IEnumerable<Piece> Cut(TensorSource source, int tensor)
    {
        long rows = Math.Max(source.RowsTogether, PieceElements / source.Columns);
        for (long first = 0; first < source.Rows; first += rows) yield return new Piece(tensor, first, Math.Min(rows, source.Rows - first));
    }

    private static long Deliver(ModelTensor tensor, Piece piece, CheckpointFiles files, ITensorSink sink, Buffers buffers)
    {
        TensorSource source = tensor.Source;
        long targetRowBytes = tensor.Spec.Bytes / source.Rows;
        long offset = piece.FirstRow * targetRowBytes;
        int bytes = checked((int)(piece.Rows * targetRowBytes)), sourceBytes = checked((int)(piece.Rows * source.RowBytes));
        Span<byte> target = sink.Begin(piece.Tensor, offset, bytes, buffers.Target(bytes));
        if (source.Type == tensor.Spec.Type) source.Read(files, piece.FirstRow, target);
        else
        {
            Span<byte> rows = buffers.Source(sourceBytes);
            source.Read(files, piece.FirstRow, rows);
            RowEncoder.Encode(tensor.Spec.Name, rows, source.Type, target, tensor.Spec.Type, source.Columns, tensor.Importance, piece.FirstRow, tensor.MatrixRows);
        }
        sink.End(piece.Tensor, offset, target);
        return bytes;
    }

    private sealed class Buffers
    {
        private byte[] _source = [];
        private byte[] _target = [];

        public Span<byte> Source(int bytes) => Grow(ref _source, bytes).AsSpan(0, bytes);

        public byte[] Target(int bytes) => Grow(ref _target, bytes);

        private static byte[] Grow(ref byte[] buffer, int bytes) => buffer.Length >= bytes ? buffer : buffer = new byte[bytes];
    }
}
