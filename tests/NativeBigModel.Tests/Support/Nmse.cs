using System.Runtime.InteropServices;

namespace NativeBigModel.Tests;

internal static class Nmse
{
    /// <summary>The squared error over the squares of the reference; infinite for another length or a NaN.</summary>
    public static double Of(ReadOnlySpan<float> reference, ReadOnlySpan<float> values)
    {
        if (reference.Length != values.Length) return double.PositiveInfinity;
        double error = 0, square = 0;
        for (int i = 0; i < reference.Length; i++)
        {
            error += Math.Pow((double)reference[i] - values[i], 2);
            square += Math.Pow(reference[i], 2);
        }
        return double.IsNaN(error) ? double.PositiveInfinity : error / square;
    }

    public static float[] ReadFloats(string file) => Floats(File.ReadAllBytes(file));

    public static float[] Floats(byte[] bytes) => MemoryMarshal.Cast<byte, float>(bytes).ToArray();

    /// <summary>BF16 is the upper half of a float.</summary>
    public static float[] FromBrain(byte[] bytes) => Array.ConvertAll(MemoryMarshal.Cast<byte, ushort>(bytes).ToArray(), half => BitConverter.UInt32BitsToSingle((uint)half << 16));
}
