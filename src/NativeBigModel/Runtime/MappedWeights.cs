using System.Collections.Concurrent;
using NativeBigModel.Native;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>
/// Weights that the CPU reads where they stand in a file: those that lie in ordinary host memory, in the type and the order of rows that the file has, at an address that the
/// engine takes. The tensors that llama.cpp allocated are pointed there, and of what it allocated for them nothing is ever touched.
/// </summary>
internal sealed unsafe class MappedWeights : IDisposable
{
    private const int Alignment = 32; // ggml-cpu's TENSOR_ALIGNMENT
    private const long FillBytes = 16 << 20;

    private readonly Dictionary<string, MappedFile> _files = new(StringComparer.Ordinal);
    private readonly HashSet<MappedFile> _held = [];
    private readonly List<Part> _parts = [];
    private readonly ConcurrentDictionary<(MappedFile File, long Offset), bool> _there = [];

    /// <summary>Begins to bring tensors into memory that will likely be taken, beside what the caller does, on the cores that it leaves. What goes wrong, the filling meets again.</summary>
    /// <returns>Stops it, and waits until it has.</returns>
    public IDisposable Begin(IEnumerable<ModelTensor> likely)
    {
        var stop = new CancellationTokenSource();
        List<Part> parts = Environment.ProcessorCount > 1 ? [.. likely.Select(Find).OfType<Part>()] : [];
        Task work = parts.Count == 0 ? Task.CompletedTask : Task.Run(() =>
        {
            try { Fill(parts, Environment.ProcessorCount - 1, static _ => { }, stop.Token); }
            catch (Exception error) when (error is CheckpointException or OperationCanceledException) { }
        });
        return new Ahead(stop, work);
    }

    /// <summary>Points a tensor into its file. False where it must be filled.</summary>
    /// <param name="tensor">The checkpoint's.</param>
    /// <param name="target">The engine's, in ordinary memory of the host.</param>
    /// <param name="model">What keeps the file mapped.</param>
    public bool Take(ModelTensor tensor, GgmlTensor* target, LlamaModelHandle model)
    {
        if (Find(tensor) is not { } part) return false;
        if (_held.Add(part.File)) model.Hold(part.File.Handle);
        target->Data = part.File.Memory + part.Offset;
        _parts.Add(part);
        return true;
    }

    /// <summary>Brings all that was taken into memory, on all cores.</summary>
    /// <exception cref="CheckpointException">A file cannot be read.</exception>
    public void Fill(Action<long> progress, CancellationToken cancel) => Fill(_parts, Environment.ProcessorCount, progress, cancel);

    private void Fill(List<Part> parts, int cores, Action<long> progress, CancellationToken cancel)
    {
        IEnumerable<Part> pieces = parts.SelectMany(part => Enumerable.Range(0, (int)((part.Bytes + FillBytes - 1) / FillBytes)).Select(i => new Part(part.File, part.Offset + i * FillBytes, Math.Min(FillBytes, part.Bytes - i * FillBytes))));
        try
        {
            Parallel.ForEach(pieces, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = cores }, piece =>
            {
                if (!_there.ContainsKey((piece.File, piece.Offset)))
                {
                    piece.File.Fill(piece.Offset, piece.Bytes);
                    _there[(piece.File, piece.Offset)] = true;
                }
                progress(piece.Bytes);
            });
        }
        catch (AggregateException errors) when (errors.InnerExceptions[0] is CheckpointException first) { throw first; }
    }

    private Part? Find(ModelTensor tensor)
    {
        if (!OperatingSystem.IsLinux() || tensor.Source is not StoredSource stored || stored.Type != tensor.Spec.Type || stored.Tensor.Offset % Alignment != 0) return null;
        if (!_files.TryGetValue(stored.Tensor.File, out MappedFile? file))
        {
            if (MappedFile.TryOpen(stored.Tensor.File) is not { } opened) return null;
            _files[stored.Tensor.File] = file = opened;
        }
        // A file that ends early is told about by whoever reads it.
        return stored.Tensor.Offset + tensor.Spec.Bytes <= file.Length ? new Part(file, stored.Tensor.Offset, tensor.Spec.Bytes) : null;
    }

    /// <summary>Requires that nothing was taken away under the model.</summary>
    /// <exception cref="CheckpointException">A file was cut, or its disk failed.</exception>
    public void Require()
    {
        foreach (MappedFile file in _files.Values) file.Require();
    }

    /// <summary>Lets go of the files; they stay mapped until the model is freed.</summary>
    public void Dispose()
    {
        foreach (MappedFile file in _files.Values) file.Handle.Dispose();
    }

    private readonly record struct Part(MappedFile File, long Offset, long Bytes);

    private sealed class Ahead(CancellationTokenSource stop, Task work) : IDisposable
    {
        public void Dispose()
        {
            stop.Cancel();
            work.Wait();
            stop.Dispose();
        }
    }
}
