using System.Collections.Immutable;
using Microsoft.Extensions.Logging;
using NativeBigModel.Chat;

namespace NativeBigModel.Server;

/// <summary>How a model is served.</summary>
public sealed record ModelServerOptions
{
    /// <summary>The names that requests may call the model by, the one that is listed first; empty for the checkpoint's name.</summary>
    public ImmutableArray<string> ModelIds { get; init; } = [];

    /// <summary>What clients must send as <c>Authorization: Bearer KEY</c>; null to serve everyone.</summary>
    public string? ApiKey { get; init; }

    /// <summary>Answers that may wait for one of the plan's sessions; further requests are refused with 429.</summary>
    public int MaxQueued { get; init; } = 64;

    /// <summary>Bytes that the body of a request may have; larger ones are refused with 413.</summary>
    public long MaxBodyBytes { get; init; } = 4 << 20;

    /// <summary>Answers that one request may ask for (<c>n</c>).</summary>
    public int MaxChoices { get; init; } = 8;

    /// <summary>How to generate where a request says nothing; null for the library's defaults and as many tokens as the context holds.</summary>
    public GenerateOptions? Defaults { get; init; }

    /// <summary>The chat template; null for the checkpoint's. Without any, chat is refused and completions are served.</summary>
    public ChatTemplate? Template { get; init; }

    /// <summary>Told of what fails inside; null for nobody.</summary>
    public ILogger? Logger { get; init; }

    internal void Validate()
    {
        if (MaxQueued < 0) throw new InvalidOptionException($"{nameof(MaxQueued)}: {MaxQueued}; it may be 0 or more");
        if (MaxBodyBytes < 1) throw new InvalidOptionException($"{nameof(MaxBodyBytes)}: {MaxBodyBytes}; it may be 1 or more");
        if (MaxChoices < 1) throw new InvalidOptionException($"{nameof(MaxChoices)}: {MaxChoices}; it may be 1 or more");
        if (ApiKey is "") throw new InvalidOptionException($"{nameof(ApiKey)}: an empty text; leave it out to serve everyone");
        if (!ModelIds.IsDefault && ModelIds.Any(string.IsNullOrEmpty)) throw new InvalidOptionException($"{nameof(ModelIds)}: an empty text; a name has at least one character");
    }
}
