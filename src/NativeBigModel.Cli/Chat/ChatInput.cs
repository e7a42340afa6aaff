namespace NativeBigModel.Cli.Chat;

/// <summary>Where a chat's lines come from.</summary>
internal interface IChatInput
{
    /// <summary>Waits for a line.</summary>
    ChatLine Read();
}

/// <summary>A line, or why there is none.</summary>
/// <param name="Text">What was typed; null at the end of the input, or where it was interrupted.</param>
/// <param name="Interrupted">Whether Ctrl-C was pressed.</param>
internal readonly record struct ChatLine(string? Text, bool Interrupted = false);

/// <summary>Lines of a file or pipe, as they stand.</summary>
internal sealed class PlainInput : IChatInput
{
    public ChatLine Read() => new(Console.In.ReadLine());
}
