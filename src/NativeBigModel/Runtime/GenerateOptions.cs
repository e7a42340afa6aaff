using System.Collections.Immutable;

namespace NativeBigModel;

/// <summary>How to choose tokens and when to stop. The steps apply in the order in which transformers applies them: repetition penalty, temperature, top-k, top-p, min-p.</summary>
public sealed record GenerateOptions
{
    /// <summary>Most tokens to generate; generation also ends when the context is full.</summary>
    public int MaxNewTokens { get; init; } = 256;

    /// <summary>Divides the logits; 0 takes the likeliest token always, whatever the other settings.</summary>
    public float Temperature { get; init; } = 0.8f;

    /// <summary>Keep this many of the likeliest tokens; 0 for all.</summary>
    public int TopK { get; init; } = 40;

    /// <summary>Keep the likeliest tokens that together have this probability; 1 for all.</summary>
    public float TopP { get; init; } = 0.95f;

    /// <summary>Drop tokens less likely than this share of the likeliest; 0 for none.</summary>
    public float MinP { get; init; } = 0.05f;

    /// <summary>Divides the positive logits and multiplies the negative ones of every token already in the context; 1 for none.</summary>
    public float RepetitionPenalty { get; init; } = 1;

    /// <summary>Seed of the random choice; the same seed gives the same text. Null for another one each time.</summary>
    public uint? Seed { get; init; }

    /// <summary>Texts that end the generation; they are not part of the result.</summary>
    public ImmutableArray<string> StopStrings { get; init; } = [];

    /// <summary>Go on past end-of-generation tokens.</summary>
    public bool IgnoreEndOfGeneration { get; init; }

    internal void Validate()
    {
        Require(MaxNewTokens >= 1, nameof(MaxNewTokens), MaxNewTokens, "1 or more");
        Require(Temperature is >= 0 and <= 1e6f, nameof(Temperature), Temperature, "0 or more");
        Require(TopK >= 0, nameof(TopK), TopK, "0 or more");
        Require(TopP is > 0 and <= 1, nameof(TopP), TopP, "above 0 and at most 1");
        Require(MinP is >= 0 and <= 1, nameof(MinP), MinP, "from 0 to 1");
        Require(RepetitionPenalty is > 0 and <= 1e6f, nameof(RepetitionPenalty), RepetitionPenalty, "above 0");
        Require(!StopStrings.Any(string.IsNullOrEmpty), nameof(StopStrings), "an empty text", "texts of at least one character");
    }

    private static void Require(bool holds, string option, object value, string allowed)
    {
        if (!holds) throw new InvalidOptionException(FormattableString.Invariant($"{option}: {value}; it may be {allowed}"));
    }
}
