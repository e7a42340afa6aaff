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
    private readonly List<(MappedFile File, long Offset, long Bytes)> _parts = [];

    /// <summary>Points a tensor into its file. False where it must be filled.</summary>
    /// <param name="tensor">The checkpoint's.</param>
    /// <param name="target">The engine's, in ordinary memory of the host.</param>
    /// <param name="model">What keeps the file mapped.</param>
    public bool Take(ModelTensor tensor, GgmlTensor* target, LlamaModelHandle model)
    {
        if (!OperatingSystem.IsLinux() || tensor.Source is not StoredSource stored || stored.Type != tensor.Spec.Type || stored.Tensor.Offset % Alignment != 0) return false;
        if (!_files.TryGetValue(stored.Tensor.File, out MappedFile? file))
        {
            if (MappedFile.TryOpen(stored.Tensor.File) is not { } opened) return false;
            model.Hold(opened.Handle);
            _files[stored.Tensor.File] = file = opened;
        }
        // A file that ends early is told about by whoever reads it.
        if (stored.Tensor.Offset + tensor.Spec.Bytes > file.Length) return false;
        target->Data = file.Memory + stored.Tensor.Offset;
        _parts.Add((file, stored.Tensor.Offset, tensor.Spec.Bytes));
        return true;
    }

    /// <summary>Brings all that was taken into memory, on all cores.</summary>
    /// <exception cref="CheckpointException">A file cannot be read.</exception>
    public void Fill(Action<long> progress, CancellationToken cancel)
    {
        var pieces = _parts.SelectMany(part => Enumerable.Range(0, (int)((part.Bytes + FillBytes - 1) / FillBytes)).Select(i => (part.File, Offset: part.Offset + i * FillBytes, Bytes: Math.Min(FillBytes, part.Bytes - i * FillBytes))));
        try
        {
            Parallel.ForEach(pieces, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = Environment.ProcessorCount }, piece =>
            {
                piece.File.Fill(piece.Offset, piece.Bytes);
                progress(piece.Bytes);
            });
        }
        catch (AggregateException errors) when (errors.InnerExceptions[0] is CheckpointException first) { throw first; }
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
}
