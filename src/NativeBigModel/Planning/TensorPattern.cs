namespace NativeBigModel.Planning;

/// <summary>Items of a plan as a regular expression of their tensors' names. llama.cpp compiles it once for every tensor of the model, so it says no more than it must.</summary>
internal static class TensorPattern
{
    /// <param name="items">Layers, feed-forward parts, or the output.</param>
    /// <param name="split">Whether blk.N is what a layer has besides its feed-forward part.</param>
    /// <param name="output">How the names of the output's tensors begin, as alternatives.</param>
    /// <returns>Alternatives, to be put into brackets; null where there are no items.</returns>
    public static string? Of(IReadOnlyCollection<LayerPlacement> items, bool split, string output)
    {
        List<string> alternatives = [];
        void Blocks(Func<LayerPlacement, bool> belongs, string rest)
        {
            string[] numbers = [.. items.Where(belongs).Select(item => $"{item.Number}")];
            if (numbers.Length > 0) alternatives.Add($@"blk\.({string.Join('|', numbers)})\.{rest}");
        }
        Blocks(item => item.Name != Item.Output && !item.IsFeedForward, split ? $"(?!{FeedForwardPart.Names})" : "");
        Blocks(item => item.IsFeedForward, FeedForwardPart.Names);
        if (items.Any(item => item.Name == Item.Output)) alternatives.Add(output);
        return alternatives.Count == 0 ? null : string.Join('|', alternatives);
    }
}
