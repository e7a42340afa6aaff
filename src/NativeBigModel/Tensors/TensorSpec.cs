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

    /// <summary>
    /// The transformer layer that the tensor belongs to, from <c>blk.N.</c> at the beginning of its name or behind <see cref="Stack"/>, or -1 for the input and output tensors.
    /// </summary>
    public int Layer
    {
        get
        {
            ReadOnlySpan<char> name = Name.AsSpan(Stack.Length);
            if (!name.StartsWith("blk.", StringComparison.Ordinal)) return -1;
            int length = name[4..].IndexOf('.');
            return length > 0 && int.TryParse(name.Slice(4, length), System.Globalization.NumberStyles.None, null, out int layer) ? layer : -1;
        }
    }

    /// <summary><c>enc.</c> or <c>dec.</c> in a model that has both, else nothing: the layers that a token passes in one go.</summary>
    internal string Stack => Name.StartsWith(Encoder, StringComparison.Ordinal) ? Encoder : Name.StartsWith(Decoder, StringComparison.Ordinal) ? Decoder : "";

    /// <summary>Whether the tensor is of the output: the last norm, or the projection to the vocabulary.</summary>
    internal bool IsOutput => Name.AsSpan(Stack.Length).StartsWith("output", StringComparison.Ordinal);

    private const string Encoder = "enc.", Decoder = "dec.";

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
