namespace NativeBigModel.Planning;

/// <summary>Which item of a plan a tensor belongs to.</summary>
internal static class ItemName
{
    /// <param name="tensor">The tensor.</param>
    /// <param name="split">Whether feed-forward parts are items of their own.</param>
    public static string Of(TensorSpec tensor, bool split) =>
        split && FeedForwardPart.Holds(tensor) ? FeedForwardPart.Of(tensor.Layer)
        : tensor.Layer >= 0 ? $"blk.{tensor.Layer}" : tensor.IsOutput ? Item.Output : Item.Input;
}
