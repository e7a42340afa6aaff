namespace NativeBigModel.Bench.Results;

/// <summary>One measurement of one contender: a row of a result file. What was not measured is null.</summary>
internal sealed record Measurement
{
    /// <summary>As <see cref="Models.SyntheticModel"/> calls it.</summary>
    public required string Model { get; init; }

    /// <summary>Type of the weights.</summary>
    public required string Type { get; init; }

    /// <summary>Bytes of the weights.</summary>
    public required long WeightBytes { get; init; }

    /// <summary>Bytes of the GPU, or without one of RAM, that a contender may use; 0 for one that knows no budget.</summary>
    public required long BudgetBytes { get; init; }

    /// <summary>Who ran.</summary>
    public required string Contender { get; init; }

    /// <summary>From 1.</summary>
    public required int Round { get; init; }

    /// <summary>Seconds until the model could compute.</summary>
    public double? LoadSeconds { get; init; }

    /// <summary>Tokens of the prompt.</summary>
    public int? PromptTokens { get; init; }

    /// <summary>Seconds for the prompt.</summary>
    public double? PromptSeconds { get; init; }

    /// <summary>Seconds for one token after it.</summary>
    public double? TokenSeconds { get; init; }

    /// <summary>Seconds for a conversion.</summary>
    public double? ConvertSeconds { get; init; }

    /// <summary>The most that the GPU held, by the driver's count, beyond what it held before.</summary>
    public long? GpuPeakBytes { get; init; }

    /// <summary>The most that the process held of RAM, mapped files included.</summary>
    public long? HostPeakBytes { get; init; }

    /// <summary>Seconds that no system on this machine can beat for a token.</summary>
    public double? BoundTokenSeconds { get; init; }

    /// <summary>The same for the prompt.</summary>
    public double? BoundPromptSeconds { get; init; }

    /// <summary>Seconds for a token that the contender foretold before it loaded the model.</summary>
    public double? PredictedTokenSeconds { get; init; }

    /// <summary>The same for the prompt.</summary>
    public double? PredictedPromptSeconds { get; init; }

    /// <summary>Why there are no figures, or nothing.</summary>
    public string Failure { get; init; } = "";
}

/// <summary>One of a measurement's figures, in seconds.</summary>
/// <param name="Name">As options have it.</param>
/// <param name="Title">As pictures and tables have it.</param>
/// <param name="Of">The figure.</param>
/// <param name="Bound">Its bound.</param>
internal sealed record Figure(string Name, string Title, Func<Measurement, double?> Of, Func<Measurement, double?> Bound)
{
    public static Figure Token { get; } = new("token", "seconds a token", row => row.TokenSeconds, row => row.BoundTokenSeconds);

    public static Figure Prompt { get; } = new("prompt", "seconds for the prompt", row => row.PromptSeconds, row => row.BoundPromptSeconds);

    public static Figure Load { get; } = new("load", "seconds to load", row => row.LoadSeconds, _ => null);

    public static Figure Convert { get; } = new("convert", "seconds to convert", row => row.ConvertSeconds, _ => null);

    public static IReadOnlyList<Figure> All { get; } = [Token, Prompt, Load, Convert];
}
