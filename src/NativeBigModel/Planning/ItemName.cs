using System.Globalization;

namespace NativeBigModel.Planning;

/// <summary>Which item of a plan a tensor belongs to, and which layer an item is of.</summary>
internal static class ItemName
{
    /// <param name="tensor">The tensor.</param>
    /// <param name="split">Whether feed-forward parts are items of their own.</param>
    public static string Of(TensorSpec tensor, bool split) =>
        split && FeedForwardPart.Holds(tensor) ? FeedForwardPart.Of(tensor.Layer)
        : tensor.Layer >= 0 ? $"blk.{tensor.Layer}" : tensor.IsOutput ? Item.Output : Item.Input;

    /// <summary>The number of the layer that an item is, or is the feed-forward part of; null for the input and the output.</summary>
    public static int? LayerOf(string item)
    {
        string layer = FeedForwardPart.LayerOf(item) ?? item;
        return layer.StartsWith("blk.", StringComparison.Ordinal) && int.TryParse(layer.AsSpan("blk.".Length), NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : null;
    }
}
