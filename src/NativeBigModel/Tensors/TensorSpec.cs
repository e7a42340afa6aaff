using System.Collections.Immutable;

namespace NativeBigModel;

/// <summary>A tensor's name, shape and element type: everything that decides its size, and none of its data.</summary>
/// <param name="Name">The GGUF name, for example <c>blk.0.attn_q.weight</c>.</param>
/// <param name="Dimensions">Extents in ggml's order, innermost (contiguous) first; the reverse of PyTorch's.</param>
/// <param name="Type">Element type.</param>
public sealed record TensorSpec(string Name, ImmutableArray<long> Dimensions, TensorType Type)
{
    /// <summary>Elements in one row: the innermost extent.</summary>
    public long Columns => Dimensions[0];

    /// <summary>Rows: the product of all other extents.</summary>
    public long Rows => Product(Dimensions.AsSpan()[1..]);

    /// <summary>Number of elements.</summary>
    public long Elements => checked(Columns * Rows);

    /// <summary>Bytes of the tensor's data, without alignment padding.</summary>
    public long Bytes => checked(Type.RowBytes(Columns) * Rows);

    /// <summary>The transformer layer that the tensor belongs to, from its <c>blk.N.</c> prefix, or -1 for the input and output tensors.</summary>
    public int Layer
    {
        get
        {
            if (!Name.StartsWith("blk.", StringComparison.Ordinal)) return -1;
            int end = Name.IndexOf('.', 4);
            return end > 4 && int.TryParse(Name.AsSpan(4, end - 4), System.Globalization.NumberStyles.None, null, out int layer) ? layer : -1;
        }
    }

    /// <inheritdoc/>
    public bool Equals(TensorSpec? other) =>
        other is not null && Name == other.Name && Type == other.Type && Dimensions.AsSpan().SequenceEqual(other.Dimensions.AsSpan());

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, Type, Dimensions.Length);

    private static long Product(ReadOnlySpan<long> extents)
    {
        long product = 1;
        foreach (long extent in extents) product = checked(product * extent);
        return product;
    }
}
