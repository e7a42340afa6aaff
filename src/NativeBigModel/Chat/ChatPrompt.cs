namespace NativeBigModel.Chat;

/// <summary>A rendered conversation. <see cref="Tokenizer.Encode(ChatPrompt)"/> gives its tokens.</summary>
public sealed class ChatPrompt
{
    internal ChatPrompt(string text, IReadOnlyList<(int Begin, int End)> literal) => (Text, Literal) = (text, literal);

    /// <summary>The text, as the model is to read it.</summary>
    public string Text { get; }

    /// <summary>
    /// Where what was said stands, and the template did not write: characters [Begin, End), ascending. The spelling of a special token that overlaps
    /// one of them is text.
    /// </summary>
    internal IReadOnlyList<(int Begin, int End)> Literal { get; }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
