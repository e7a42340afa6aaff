using NativeBigModel.Planning;
using NativeBigModel.Tensors;

namespace NativeBigModel.Architectures;

/// <summary>
/// Orders of the rows of query, key and value projections. A rotary embedding turns pairs of a head's rows: row i with row i + d/2 ("halves", the layout of most
/// of transformers), or row 2i with row 2i + 1 ("pairs"); d is the part of the head that is turned, and the rows after it stay where they are.
/// </summary>
internal static class RowOrders
{
    /// <summary>Query or key heads with halves, for a graph that turns pairs.</summary>
    public static RowMap HalvesToPairs(Place place) => HalvesToPairs(place.Layer.KeyLength, place.Layer.RotaryLength);

    /// <summary>Query or key heads with pairs, for a graph that turns halves.</summary>
    public static RowMap PairsToHalves(Place place) => PairsToHalves(place.Layer.KeyLength, place.Layer.RotaryLength);

    /// <summary>Row 2i + j of the turned part of each head comes from row j*d/2 + i.</summary>
    public static RowMap HalvesToPairs(int headRows, int turned) => row =>
    {
        long within = row % headRows;
        return within >= turned ? row : row - within + within % 2 * (turned / 2) + within / 2;
    };

    /// <summary>The inverse: row j*d/2 + i comes from row 2i + j.</summary>
    public static RowMap PairsToHalves(int headRows, int turned) => row =>
    {
        long within = row % headRows;
        return within >= turned ? row : row - within + within % (turned / 2) * 2 + within / (turned / 2);
    };

    /// <summary>Rows from <paramref name="first"/> on.</summary>
    public static RowMap From(long first) => row => first + row;

    /// <summary>One order after another: <paramref name="outer"/>'s rows are those of <paramref name="inner"/>.</summary>
    public static RowMap After(this RowMap outer, RowMap inner) => row => inner(outer(row));

    /// <summary>Query, key and value rows one after the other.</summary>
    public static long FusedRows(LayerShape layer) => (long)layer.HeadCount * layer.KeyLength + (long)layer.KvHeadCount * (layer.KeyLength + layer.ValueLength);

    /// <summary>
    /// Heads that are stored by group of a key head, each group its queries, its key and its value, in llama.cpp's order: all queries, all keys, all values.
    /// With as many key heads as query heads, each head's three parts lie together.
    /// </summary>
    public static RowMap GroupedToFused(Place place)
    {
        LayerShape layer = place.Layer;
        long head = layer.KeyLength, perGroup = layer.HeadCount / layer.KvHeadCount, group = (perGroup + 2) * head;
        long queries = layer.HeadCount * head, keys = layer.KvHeadCount * head;
        return row =>
        {
            if (row < queries) return row / (perGroup * head) * group + row % (perGroup * head);
            row -= queries;
            long part = row / keys;
            row -= part * keys;
            return row / head * group + (perGroup + part) * head + row % head;
        };
    }

    /// <summary>The queries of a tensor that is stored by group.</summary>
    public static WeightRecipe QueryOfGroups(WeightRecipe fused) => OfGroups(fused, _ => 0);

    /// <summary>Its keys.</summary>
    public static WeightRecipe KeyOfGroups(WeightRecipe fused) => OfGroups(fused, layer => (long)layer.HeadCount * layer.KeyLength);

    /// <summary>Its values.</summary>
    public static WeightRecipe ValueOfGroups(WeightRecipe fused) => OfGroups(fused, layer => ((long)layer.HeadCount + layer.KvHeadCount) * layer.KeyLength);

    private static WeightRecipe OfGroups(WeightRecipe fused, Func<LayerShape, long> first) =>
        fused.Rows(place => From(first(place.Layer)).After(GroupedToFused(place)), place => FusedRows(place.Layer));
}
