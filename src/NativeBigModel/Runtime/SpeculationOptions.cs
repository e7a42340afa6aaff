namespace NativeBigModel;

/// <summary>
/// Guessing tokens ahead. The model then computes the guesses together, which where layers are streamed costs what one token costs, and keeps those that it would have chosen
/// itself: greedy answers stay the same, sampled ones keep their probabilities.
/// </summary>
public sealed record SpeculationOptions
{
    /// <summary>Most tokens that <see cref="MaxTokens"/> may be.</summary>
    public const int Most = 64;

    /// <summary>
    /// A small model with the same vocabulary that guesses; null to guess what followed the same words before, in the prompt or the answer. It computes one sequence
    /// for each generation at the same time, so it is planned with as many <see cref="Planning.PlanOptions.Sessions"/>, and may be used otherwise as well.
    /// </summary>
    public BigModel? Draft { get; init; }

    /// <summary>Most tokens to guess at a time, 1 to <see cref="Most"/>; fewer where many generate together.</summary>
    public int MaxTokens { get; init; } = 8;
}
