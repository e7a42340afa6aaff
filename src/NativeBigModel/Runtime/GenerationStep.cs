using System.Collections.Immutable;

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
public sealed record GenerationStep(int Token, string Text, FinishReason? Finish, TimeSpan Prefill, TimeSpan Elapsed)
{
    /// <summary>Tokens of the prompt that were not computed, since the model still held them; the same on every step.</summary>
    public int ReusedTokens { get; init; }

    /// <summary>Tokens that were guessed ahead so far.</summary>
    public int DraftedTokens { get; init; }

    /// <summary>Those of them that were right, and cost no pass of their own.</summary>
    public int AcceptedTokens { get; init; }

    /// <summary>
    /// What streaming had done when the token was chosen, on the first step and on the last; null on the others, and where the plan streams nothing. The reader may get a step later:
    /// the model computes ahead of it.
    /// </summary>
    public StreamingStats? Streaming { get; init; }

    /// <summary>The natural logarithm of the chosen token's probability, where <see cref="GenerateOptions.LogProbs"/> asks for it.</summary>
    public float? LogProb { get; init; }

    /// <summary>The likeliest tokens, the likeliest first: as many as <see cref="GenerateOptions.LogProbs"/> asks for.</summary>
    public ImmutableArray<TokenLogProb> TopLogProbs { get; init; } = [];
}

/// <summary>A token and the natural logarithm of its probability.</summary>
public readonly record struct TokenLogProb(int Token, float LogProb);
