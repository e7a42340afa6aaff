namespace NativeBigModel.Planning;

/// <summary>What one token's look back over a text asks of the device that computes it, beside reading keys and values.</summary>
internal static class AttentionWork
{
    /// <summary>Operations of a layer: two for each element of the keys and values that a text of so many tokens has, and each head that asks it.</summary>
    public static double Operations(LayerShape layer, double tokens) => 2.0 * layer.HeadCount * (layer.KeyLength + layer.ValueLength) * tokens;
}
