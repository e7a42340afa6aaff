namespace NativeBigModel.Planning;

/// <summary>What a computation waits for.</summary>
public enum PlanResource
{
    /// <summary>GPUs that read their own memory or multiply.</summary>
    Gpu,
    /// <summary>The link that brings weights to a GPU.</summary>
    Link,
    /// <summary>The CPU.</summary>
    Cpu,
    /// <summary>The disk.</summary>
    Disk,
}

/// <summary>The speed to expect of a plan.</summary>
/// <param name="Measured">Whether it is made from the machine's measured speeds, or from those of an ordinary desktop.</param>
/// <param name="LoadSeconds">Reading from disk what will rest in memory; less where the system has the files in its cache, more where weights change their type.</param>
/// <param name="PromptTokens">Tokens of the prompt that is meant: 512, or the context where that is shorter.</param>
/// <param name="PrefillSeconds">Such a prompt, from the second on.</param>
/// <param name="PrefillLimit">What the prompt waits for most.</param>
/// <param name="DecodeSeconds">One token behind such a prompt.</param>
/// <param name="DecodeLimit">What a token waits for most.</param>
public sealed record Prediction(
    bool Measured, double LoadSeconds, int PromptTokens, double PrefillSeconds, PlanResource PrefillLimit, double DecodeSeconds, PlanResource DecodeLimit)
{
    /// <summary>Tokens of the prompt per second.</summary>
    public double PrefillTokensPerSecond => PrefillSeconds > 0 ? PromptTokens / PrefillSeconds : 0;

    /// <summary>Generated tokens per second.</summary>
    public double DecodeTokensPerSecond => DecodeSeconds > 0 ? 1 / DecodeSeconds : 0;
}
