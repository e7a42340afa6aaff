namespace NativeBigModel.Bench.Models;

/// <summary>
/// A text in circles of <see cref="Circle"/> tokens, each followed by the next. A model says it greedily if its output has, in the row of a token, the embedding of the token
/// before: what a token's embedding then yields there outweighs all other rows and what the layers add.
/// </summary>
/// <param name="WrongEvery">Of how many tokens the last is not followed by the next, but by any; 0 for none. So a draft model errs.</param>
internal sealed record CountingText(int WrongEvery = 0)
{
    /// <summary>Tokens of a circle; the last one of a vocabulary may be shorter.</summary>
    public const int Circle = 28;

    private const int SomeWrong = 7;
    private const string Ending = "-counting", WrongEnding = Ending + "-errs";

    /// <summary>The text that a model's name asks for, or null, and the name without that.</summary>
    public static CountingText? Named(string name, out string shape)
    {
        (string ending, CountingText? text) = name.EndsWith(WrongEnding, StringComparison.Ordinal) ? (WrongEnding, new CountingText(SomeWrong))
            : name.EndsWith(Ending, StringComparison.Ordinal) ? (Ending, new CountingText())
            : ("", null);
        shape = name[..^ending.Length];
        return text;
    }

    /// <summary>The token whose embedding the output has for another: the one before it, or, where the text is wrong, one beyond the vocabulary.</summary>
    public int Before(int token, int vocabulary)
    {
        int first = token - token % Circle, length = Math.Min(Circle, vocabulary - first);
        int before = first + (token - first + length - 1) % length;
        return WrongEvery > 0 && before % Circle % WrongEvery == WrongEvery - 1 ? vocabulary + token : before;
    }
}
