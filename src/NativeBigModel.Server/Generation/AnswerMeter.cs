namespace NativeBigModel.Server;

/// <summary>Follows one answer for its usage, the server's metrics and the picture of the last pass.</summary>
internal sealed class AnswerMeter(ServedModel served)
{
    private readonly PassMonitor.Probe _probe = served.Passes.Follow();

    /// <summary>Tokens so far.</summary>
    public int Tokens { get; private set; }

    /// <summary>Tokens of the prompt that were not computed again.</summary>
    public int Cached { get; private set; }

    /// <summary>Why it ended, in the API's words; null while it goes on.</summary>
    public string? FinishReason { get; private set; }

    /// <summary>Takes a step.</summary>
    public void Add(GenerationStep step)
    {
        if (Tokens++ == 0)
        {
            Cached = step.ReusedTokens;
            served.Metrics.Prompt(step.Prefill, Cached);
        }
        served.Metrics.Token();
        _probe.Add(step);
        FinishReason = step.Finish switch
        {
            null => null,
            NativeBigModel.FinishReason.MaxNewTokens or NativeBigModel.FinishReason.ContextFull => "length",
            _ => "stop",
        };
    }

    /// <summary>What a request is told that it used.</summary>
    public static UsageBody Usage(int promptTokens, IReadOnlyCollection<AnswerMeter> answers)
    {
        int tokens = answers.Sum(answer => answer.Tokens);
        return new(promptTokens, tokens, promptTokens + tokens, new(answers.Select(answer => answer.Cached).DefaultIfEmpty(0).First()));
    }
}
