namespace NativeBigModel;

/// <summary>Why a generation ended.</summary>
public enum FinishReason
{
    /// <summary>The model ended its text.</summary>
    EndOfGeneration,
    /// <summary>A stop string appeared.</summary>
    StopString,
    /// <summary>The most tokens that were asked for.</summary>
    MaxNewTokens,
    /// <summary>The context that was planned for is full.</summary>
    ContextFull,
}

/// <summary>One token of a generation, as soon as it is chosen.</summary>
/// <param name="Token">The token's id.</param>
/// <param name="Text">What can be shown now: empty while a character or a possible stop string is incomplete.</param>
/// <param name="Finish">Set on the last step.</param>
/// <param name="Prefill">Time that the prompt took; the same on every step.</param>
/// <param name="Elapsed">Time since the prompt was done.</param>
public sealed record GenerationStep(int Token, string Text, FinishReason? Finish, TimeSpan Prefill, TimeSpan Elapsed);
