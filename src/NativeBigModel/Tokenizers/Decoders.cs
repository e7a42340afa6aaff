namespace NativeBigModel.Tokenizers;

/// <summary>The parts of tokenizer.json's decoder that are not llama.cpp's as a matter of course.</summary>
internal static class Decoders
{
    /// <summary>Whether a decoded text loses the space that it begins with: Strip, or Metaspace that puts one there.</summary>
    public static bool StripsFirstSpace(JsonField tokenizer) => tokenizer.Find("decoder") is { } root && SplittingRules.Flatten(root, "decoders").Any(step => step.Get("type").Text() switch
    {
        "Strip" => step.Get("content").Text() is " " && step.Get("start").Integer() > 0,
        "Metaspace" => step.Find("prepend_scheme")?.Text() is not "never" && step.Find("add_prefix_space")?.Flag() is not false,
        _ => false,
    });
}
