using System.Numerics.Tensors;
using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Runtime;

/// <summary>How the vectors of a text's tokens become the text's.</summary>
internal static class TextVectors
{
    /// <summary>The pooling that the model's authors name; the mean for an encoder and the last token for a decoder where they do not.</summary>
    public static Pooling DefaultPooling(ModelDefinition definition) =>
        definition.Metadata.Find($"{definition.Shape.Architecture}.pooling_type") is uint type && Enum.IsDefined((Pooling)type) ? (Pooling)type
        : definition.Shape.Kind == ModelKind.Decoder ? Pooling.Last : Pooling.Mean;

    /// <exception cref="ArgumentOutOfRangeException">It is none of the enumeration's.</exception>
    public static void Require(Pooling pooling)
    {
        if (!Enum.IsDefined(pooling)) throw new ArgumentOutOfRangeException(nameof(pooling), pooling, null);
    }

    /// <summary>One vector of several, as long as each of them.</summary>
    public static float[] Pool(IReadOnlyList<float[]> vectors, Pooling pooling)
    {
        Require(pooling);
        if (pooling == Pooling.Cls) return vectors[0];
        if (pooling == Pooling.Last) return vectors[^1];
        var sum = new double[vectors[0].Length];
        foreach (float[] vector in vectors)
        {
            for (int i = 0; i < sum.Length; i++) sum[i] += vector[i];
        }
        return [.. sum.Select(value => (float)(value / vectors.Count))];
    }

    /// <summary>Divides a vector by its length, if it has one.</summary>
    public static float[] Normalize(float[] vector)
    {
        if (TensorPrimitives.Norm<float>(vector) is > 0 and var length) TensorPrimitives.Divide(vector, length, vector);
        return vector;
    }
}
