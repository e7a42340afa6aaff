using System.Collections.Immutable;

namespace NativeBigModel;

/// <summary>
/// How to choose tokens and when to stop. The steps apply in the order in which transformers applies them: bias, repetition penalty, frequency and presence penalties,
/// grammar, temperature, top-k, top-p, min-p.
/// </summary>
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

    /// <summary>Taken from a token's logit for each time it is in the answer so far, -2 to 2; 0 for none. As in OpenAI's API, the prompt does not count.</summary>
    public float FrequencyPenalty { get; init; }

    /// <summary>Taken once from the logit of each token that is in the answer so far, -2 to 2; 0 for none.</summary>
    public float PresencePenalty { get; init; }

    /// <summary>Added to the logits of tokens, by id; negative infinity rules a token out.</summary>
    public ImmutableDictionary<int, float> LogitBias { get; init; } = ImmutableDictionary<int, float>.Empty;

    /// <summary>A grammar in llama.cpp's GBNF whose rule <c>root</c> the answer follows, or null. The answer ends where the grammar does.</summary>
    public string? Grammar { get; init; }

    /// <summary>What the prompt ends with that <see cref="Grammar"/> begins with.</summary>
    internal ImmutableArray<int> GrammarBegun { get; init; } = [];

    /// <summary>
    /// How many of the likeliest tokens to report at each step with the logarithms of their probabilities, 0 to <see cref="MaxLogProbs"/>; null to report none, not even the
    /// chosen token's. They are the model's own: nothing above changes them.
    /// </summary>
    public int? LogProbs { get; init; }

    /// <summary>Seed of the random choice; the same seed gives the same text. Null for another one each time.</summary>
    public uint? Seed { get; init; }

    /// <summary>Texts that end the generation; they are not part of the result.</summary>
    public ImmutableArray<string> StopStrings { get; init; } = [];

    /// <summary>Go on past end-of-generation tokens.</summary>
    public bool IgnoreEndOfGeneration { get; init; }

    /// <summary>Tokens that the answer begins with, of a model that reads one text and writes another; empty for its own first token.</summary>
    public ImmutableArray<int> AnswerStart { get; init; } = [];

    /// <summary>
    /// Whether the beginning of the prompt may be taken from what the model computed before, for this caller or another. Off, the same call on an idle model gives the same
    /// bits always; on, they can differ by the rounding of another batch size.
    /// </summary>
    public bool ReusePrefix { get; init; } = true;

    /// <summary>
    /// Where set, a full context does not end the generation: it keeps so many of its first tokens, drops the older half of the others, and computes the rest anew.
    /// A prompt that is too long is cut likewise.
    /// </summary>
    public int? KeepWhenFull { get; init; }

    /// <summary>How to guess tokens ahead, so that one pass through the layers gives several; null to compute one at a time. What is said does not change.</summary>
    public SpeculationOptions? Speculation { get; init; }

    /// <summary>Most tokens that <see cref="LogProbs"/> may ask for.</summary>
    public const int MaxLogProbs = 100;

    /// <summary>The same for a draft model: its guesses are drawn apart from the answer's tokens, and need not follow all of its rules.</summary>
    internal GenerateOptions ForGuesses() =>
        this with { RepetitionPenalty = 1, FrequencyPenalty = 0, PresencePenalty = 0, LogitBias = ImmutableDictionary<int, float>.Empty, Grammar = null, Seed = ~Seed };

    internal bool PenalizesAnswer => FrequencyPenalty != 0 || PresencePenalty != 0;

    internal void Validate(int vocabulary, int contextLength)
    {
        Require(MaxNewTokens >= 1, nameof(MaxNewTokens), MaxNewTokens, "1 or more");
        Require(Temperature is >= 0 and <= 1e6f, nameof(Temperature), Temperature, "0 or more");
        Require(TopK >= 0, nameof(TopK), TopK, "0 or more");
        Require(TopP is > 0 and <= 1, nameof(TopP), TopP, "above 0 and at most 1");
        Require(MinP is >= 0 and <= 1, nameof(MinP), MinP, "from 0 to 1");
        Require(RepetitionPenalty is > 0 and <= 1e6f, nameof(RepetitionPenalty), RepetitionPenalty, "above 0");
        Require(FrequencyPenalty is >= -2 and <= 2, nameof(FrequencyPenalty), FrequencyPenalty, "from -2 to 2");
        Require(PresencePenalty is >= -2 and <= 2, nameof(PresencePenalty), PresencePenalty, "from -2 to 2");
        Require(LogProbs is null or >= 0 and <= MaxLogProbs, nameof(LogProbs), LogProbs ?? 0, $"from 0 to {MaxLogProbs}");
        Require(KeepWhenFull is not { } keep || (keep >= 0 && keep < contextLength - 1), nameof(KeepWhenFull), KeepWhenFull ?? 0, $"from 0 to {contextLength - 2}, since the context has {contextLength} tokens");
        Require(Speculation is not { } ahead || ahead.MaxTokens is >= 1 and <= SpeculationOptions.Most, nameof(Speculation), Speculation?.MaxTokens ?? 0, $"1 to {SpeculationOptions.Most} tokens ahead");
        foreach ((int token, float bias) in LogitBias)
        {
            Require(token >= 0 && token < vocabulary, nameof(LogitBias), $"token {token}", $"below {vocabulary}, the size of the vocabulary");
            Require(!float.IsNaN(bias) && !float.IsPositiveInfinity(bias), nameof(LogitBias), bias, "a number or negative infinity");
        }
        Require(!StopStrings.Any(string.IsNullOrEmpty), nameof(StopStrings), "an empty text", "texts of at least one character");
    }

    private static void Require(bool holds, string option, object value, string allowed)
    {
        if (!holds) throw new InvalidOptionException(FormattableString.Invariant($"{option}: {value}; it may be {allowed}"));
    }
}
