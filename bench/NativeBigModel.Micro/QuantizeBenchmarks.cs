using BenchmarkDotNet.Attributes;
using NativeBigModel.Bench.Models;
using NativeBigModel.Conversion;
using NativeBigModel.Native;

namespace NativeBigModel.Micro;

/// <summary>Sixteen rows of 4096 weights from F16, on one thread.</summary>
public class QuantizeBenchmarks
{
    private const int Columns = 4096, Rows = 16;

    private byte[] _rows = [], _target = [];

    [Params(TensorType.Q8_0, TensorType.Q4_0, TensorType.Q4_K, TensorType.Q6_K)]
    public TensorType Type { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        EngineLibrary.Load();
        _rows = RandomWeights.Block(TensorType.F16, 0.02f)[..(int)(TensorType.F16.RowBytes(Columns) * Rows)];
        _target = new byte[Type.RowBytes(Columns) * Rows];
    }

    [Benchmark]
    public void Encode() => RowEncoder.Encode("weight", _rows, TensorType.F16, _target, Type, Columns);
}
