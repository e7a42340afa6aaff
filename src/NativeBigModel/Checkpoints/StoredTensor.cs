using System.Collections.Immutable;

namespace NativeBigModel;

/// <summary>A tensor as a checkpoint file holds it.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="DataType">The file format's own name for the element type: <c>BF16</c>, <c>F8_E4M3</c>, <c>Q4_K</c>.</param>
/// <param name="Shape">Extents, outermost first, as PyTorch prints them.</param>
/// <param name="File">Full path of the file.</param>
/// <param name="Offset">Where the data begins in it, in bytes.</param>
/// <param name="Bytes">Length of the data.</param>
public sealed record StoredTensor(string Name, string DataType, ImmutableArray<long> Shape, string File, long Offset, long Bytes)
{
    /// <summary>Whether a matrix lies column by column, as the transposed views in PyTorch's files do.</summary>
    public bool ColumnMajor { get; init; }
}
