namespace NativeBigModel.Runtime;

/// <summary>Guesses that what followed the last tokens before will follow them again.</summary>
internal static class PromptLookup
{
    private const int LongestMatch = 4;
    private const int ShortestMatch = 2;

    /// <summary>At most so many tokens that came after the last place where the last tokens came before; the longest match counts.</summary>
    public static ReadOnlySpan<int> Guess(ReadOnlySpan<int> tokens, int most)
    {
        for (int length = LongestMatch; length >= ShortestMatch && most > 0; length--)
        {
            if (tokens.Length <= length) continue;
            int found = tokens[..^1].LastIndexOf(tokens[^length..]);
            if (found < 0) continue;
            ReadOnlySpan<int> after = tokens[(found + length)..];
            return after[..Math.Min(most, after.Length)];
        }
        return [];
    }
}
