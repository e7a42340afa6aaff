using NativeBigModel.Checkpoints;
using NativeBigModel.Tensors;

namespace NativeBigModel.Conversion;

/// <summary>Where encoded tensors go: memory of the engine, or a file. Called from several threads, for pieces that do not overlap.</summary>
internal interface ITensorSink
{
    /// <summary>Whether the tensor is taken as one piece only; such pieces are delivered few at a time.</summary>
    bool TakesWhole(int tensor) => false;

    /// <summary>The span that the next piece is encoded into: the destination itself, or memory of the worker.</summary>
    Span<byte> Begin(int tensor, long offset, int bytes, WorkerMemory memory);

    /// <summary>The piece is complete.</summary>
    void End(int tensor, long offset, ReadOnlySpan<byte> piece);
}

/// <summary>
/// Reads, encodes and delivers every tensor of a model, a few rows at a time and on all cores. Memory is bounded by the number of workers times
/// a piece, whatever the model's size; fewer work where whole tensors would take more than <see cref="MostWhole"/>.
/// </summary>
internal static class TensorPump
{
    // Small enough that cancelling is felt at once with the slowest quantiser, large enough for full reading speed.
    private const int StepElements = 256 * 1024;

    /// <summary>Bytes of a piece that is only read: more than of others, so that there are fewer calls, and each large page is mostly one worker's.</summary>
    public const int ReadBytes = 4 << 20;

    private const int MaxWorkers = 16;

    // Some wait for a disk while others compute.
    private const int WorkersPerCore = 3;

    /// <summary>Bytes of whole tensors at once, or of one if that has more.</summary>
    private const long MostWhole = 1L << 30;

    private readonly record struct Piece(int Tensor, long FirstRow, long Rows);

    /// <summary>Runs to the end, or throws the first failure after all workers have stopped. The progress callback is told of bytes delivered, from any thread.</summary>
    public static void Run(IReadOnlyList<ModelTensor> tensors, CheckpointFiles files, ITensorSink sink, Action<long>? progress, CancellationToken cancel, LossSample? losses = null)
    {
        if (tensors.Count == 0) return;
        RequireEncodable(tensors);
        ILookup<bool, int> whole = Enumerable.Range(0, tensors.Count).ToLookup(sink.TakesWhole);
        // The largest first: at the end no worker has long to go on alone.
        Piece[] pieces = [.. whole[true].OrderByDescending(i => tensors[i].Spec.Bytes).Select(i => new Piece(i, 0, tensors[i].Source.Rows)), .. whole[false].SelectMany(i => Cut(tensors[i], i))];
        long largest = whole[true].Select(i => tensors[i].Spec.Bytes).DefaultIfEmpty(1).Max();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        Exception? failure = null;
        int next = -1;
        void Work()
        {
            using var memory = new WorkerMemory();
            while (!stop.IsCancellationRequested)
            {
                int index = Interlocked.Increment(ref next);
                if (index >= pieces.Length) return;
                try
                {
                    Deliver(tensors[pieces[index].Tensor], pieces[index], files, sink, memory, progress, losses, stop.Token);
                }
                catch (OperationCanceledException) when (stop.IsCancellationRequested) { return; }
                catch (Exception error)
                {
                    Interlocked.CompareExchange(ref failure, error, null);
                    stop.Cancel();
                }
            }
        }
        int most = (int)Math.Max(1, Math.Min(MaxWorkers, MostWhole / largest)), workers = Math.Min(Math.Min(most, WorkersPerCore * Environment.ProcessorCount), Math.Max(1, pieces.Length));
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

    private static IEnumerable<Piece> Cut(ModelTensor tensor, int number)
    {
        long rows = StepRows(tensor);
        for (long first = 0; first < tensor.Source.Rows; first += rows) yield return new Piece(number, first, Math.Min(rows, tensor.Source.Rows - first));
    }

    private static long StepRows(ModelTensor tensor) =>
        Math.Max(tensor.Source.RowsTogether, tensor.Source.Type == tensor.Spec.Type ? ReadBytes / tensor.Source.RowBytes : StepElements / tensor.Source.Columns);

    private static void Deliver(ModelTensor tensor, Piece piece, CheckpointFiles files, ITensorSink sink, WorkerMemory memory, Action<long>? progress, LossSample? losses, CancellationToken stop)
    {
        TensorSource source = tensor.Source;
        long targetRowBytes = tensor.Spec.Bytes / source.Rows, offset = piece.FirstRow * targetRowBytes, step = StepRows(tensor);
        int bytes = checked((int)(piece.Rows * targetRowBytes));
        Span<byte> whole = sink.Begin(piece.Tensor, offset, bytes, memory), target = whole;
        int delivered = 0;
        for (long done = 0; done < piece.Rows; done += step)
        {
            stop.ThrowIfCancellationRequested();
            if (delivered > 0) progress?.Invoke(delivered);
            (long row, long rows) = (piece.FirstRow + done, Math.Min(step, piece.Rows - done));
            Span<byte> part = target[..checked((int)(rows * targetRowBytes))];
            target = target[part.Length..];
            if (source.Type == tensor.Spec.Type) source.Read(files, row, part);
            else
            {
                Span<byte> read = memory.Source(checked((int)(rows * source.RowBytes)));
                source.Read(files, row, read);
                RowEncoder.Encode(tensor.Spec.Name, read, source.Type, part, tensor.Spec.Type, source.Columns, tensor.Importance, row, tensor.MatrixRows);
                if (tensor.Spec.Type.IsQuantized() && row / step % LossSample.Every == 0) losses?.Add(read[..checked((int)source.RowBytes)], source.Type, part[..checked((int)targetRowBytes)], tensor.Spec.Type, checked((int)source.Columns));
            }
            delivered = part.Length;
        }
        sink.End(piece.Tensor, offset, whole);
        progress?.Invoke(delivered);
    }
}
