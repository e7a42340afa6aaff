using BenchmarkDotNet.Attributes;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Micro;

/// <summary>Opening a checkpoint of 723 tensors: headers, names, shapes; and reading all of a folder's weights, one tensor after another on one thread.</summary>
public class HeaderBenchmarks
{
    private Files _files = null!;
    private string _gguf = "", _folder = "";
    private Checkpoint _checkpoint = null!;
    private byte[] _buffer = [];

    [GlobalSetup]
    public void Setup()
    {
        _files = new();
        (_gguf, _folder) = (_files.Gguf(Files.Deep), _files.Folder(Files.Deep));
        _checkpoint = Checkpoint.Open(_folder);
        _buffer = new byte[_checkpoint.StoredTensors.Max(tensor => tensor.Bytes)];
    }

    [GlobalCleanup]
    public void Cleanup() => _files.Dispose();

    [Benchmark]
    public Checkpoint OpenGguf() => Checkpoint.Open(_gguf);

    [Benchmark]
    public Checkpoint OpenSafetensors() => Checkpoint.Open(_folder);

    [Benchmark]
    public long ReadSafetensors()
    {
        using var files = new CheckpointFiles();
        long bytes = 0;
        foreach (StoredTensor tensor in _checkpoint.StoredTensors)
        {
            files.Read(tensor.File, tensor.Offset, _buffer.AsSpan(0, (int)tensor.Bytes));
            bytes += tensor.Bytes;
        }
        return bytes;
    }
}
