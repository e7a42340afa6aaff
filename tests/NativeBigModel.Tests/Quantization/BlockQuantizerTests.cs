using System.Runtime.InteropServices;
using NativeBigModel.Native;
using NativeBigModel.Quantization;

namespace NativeBigModel.Tests.Quantization;

/// <summary>Blocks that are made here against ggml's own, byte by byte, on x64, where ggml's compiler fuses nothing.</summary>
public sealed class BlockQuantizerTests
{
    private const int Count = 256 * 64;

    private static readonly string[] s_kinds =
        ["weights", "brain floats", "heavy tails", "sparse", "empty groups", "tiny", "large", "three values", "constant groups", "falling", "positive", "negative, of many sizes", "denormal", "zeros", "one value a block"];

    public static TheoryData<TensorType, string> Cases
    {
        get
        {
            var cases = new TheoryData<TensorType, string>();
            foreach (TensorType type in (TensorType[])[TensorType.Q8_0, TensorType.Q4_K, TensorType.Q5_K, TensorType.Q6_K])
            {
                foreach (string kind in s_kinds) cases.Add(type, kind);
            }
            return cases;
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Blocks_are_those_of_ggml(TensorType type, string kind)
    {
        if (!BlockQuantizer.Makes(type) || RuntimeInformation.ProcessArchitecture != Architecture.X64) return;
        EngineLibrary.Load();
        float[] values = Values(kind);
        byte[] expected = new byte[type.RowBytes(Count)], made = new byte[expected.Length];
        GgmlQuantizer.Quantize(kind, type, values, expected, Count);
        BlockQuantizer.Quantize(type, values, made, (rest, blocks) => GgmlQuantizer.Quantize(kind, type, rest, blocks, rest.Length));
        Assert.Equal(expected, made);
    }

    [Theory]
    [InlineData(TensorType.Q8_0)]
    [InlineData(TensorType.Q4_K)]
    [InlineData(TensorType.Q5_K)]
    [InlineData(TensorType.Q6_K)]
    public void Weights_of_a_model_are_not_left_to_ggml(TensorType type)
    {
        if (!BlockQuantizer.Makes(type)) return;
        BlockQuantizer.Quantize(type, Values("weights"), new byte[type.RowBytes(Count)], (_, _) => Assert.Fail("a block was left to ggml"));
    }

    private static float[] Values(string kind)
    {
        var random = new Random(20260101);
        var values = new float[Count];
        for (int i = 0; i < Count; i++)
        {
            double normal = Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
            values[i] = (float)(kind switch
            {
                "weights" => 0.02 * normal,
                "brain floats" => BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits((float)(0.02 * normal)) & 0xffff0000),
                "heavy tails" => normal * Math.Exp(3 * normal),
                "sparse" => random.Next(4) == 0 ? normal : 0,
                "empty groups" => i / 16 % 3 == 0 ? 0 : normal,
                "tiny" => normal * 1e-30,
                "large" => normal * 1e4,
                "three values" => random.Next(3) - 1,
                "constant groups" => i / 32 % 2 == 0 ? 0.5 : -0.25,
                "falling" => normal * Math.Pow(10, -(i / 16 % 40)),
                "positive" => Math.Abs(normal),
                "negative, of many sizes" => -Math.Abs(normal) * Math.Pow(10, i / 64 % 9 - 6),
                "denormal" => normal * 1e-41,
                "zeros" => i % 2 == 0 ? 0.0 : -0.0,
                _ => i % 32 == 7 ? normal : 0,
            });
        }
        return values;
    }
}
