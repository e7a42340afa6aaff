using System.Text.Json;

namespace NativeBigModel.Server;

/// <summary>What requests for text have in common. A member that is not here changes nothing.</summary>
internal abstract record GenerationRequest
{
    public string? Model { get; init; }

    public bool? Stream { get; init; }

    public StreamOptionsBody? StreamOptions { get; init; }

    public int? N { get; init; }

    public int? MaxTokens { get; init; }

    /// <summary>A text, an array of texts, or null.</summary>
    public JsonElement Stop { get; init; }

    public long? Seed { get; init; }

    public float? Temperature { get; init; }

    public float? TopP { get; init; }

    public int? TopK { get; init; }

    public float? MinP { get; init; }

    public float? RepetitionPenalty { get; init; }

    public float? PresencePenalty { get; init; }

    public float? FrequencyPenalty { get; init; }

    public Dictionary<string, float>? LogitBias { get; init; }
}

internal sealed record StreamOptionsBody(bool? IncludeUsage);

/// <summary>The body of /v1/completions.</summary>
internal sealed record TextRequest : GenerationRequest
{
    /// <summary>A text, an array of texts, an array of tokens, or an array of those.</summary>
    public JsonElement Prompt { get; init; }

    public int? Logprobs { get; init; }

    public bool? Echo { get; init; }

    public string? Suffix { get; init; }

    public int? BestOf { get; init; }
}

/// <summary>The body of /v1/embeddings.</summary>
/// <param name="Model">Which model; null for the one that is served.</param>
/// <param name="Input">A text, an array of texts, an array of tokens, or an array of those.</param>
/// <param name="EncodingFormat"><c>float</c> or <c>base64</c>.</param>
/// <param name="Dimensions">Elements of a vector, which are the model's.</param>
internal sealed record EmbeddingRequest(string? Model, JsonElement Input, string? EncodingFormat, int? Dimensions);

/// <summary>The body of /v1/chat/completions.</summary>
internal sealed record ChatRequestBody : GenerationRequest
{
    public List<MessageBody?>? Messages { get; init; }

    public int? MaxCompletionTokens { get; init; }

    public bool? Logprobs { get; init; }

    public int? TopLogprobs { get; init; }

    public ResponseFormatBody? ResponseFormat { get; init; }

    public List<ToolBody?>? Tools { get; init; }

    /// <summary><c>none</c>, <c>auto</c>, <c>required</c>, or an object that names a function.</summary>
    public JsonElement ToolChoice { get; init; }

    public bool? ParallelToolCalls { get; init; }

    public string? ReasoningEffort { get; init; }

    /// <summary>More variables of the chat template.</summary>
    public Dictionary<string, JsonElement>? ChatTemplateKwargs { get; init; }

    /// <summary>What tools were called before.</summary>
    public JsonElement Functions { get; init; }

    public JsonElement Audio { get; init; }
}

internal sealed record MessageBody
{
    public string? Role { get; init; }

    /// <summary>A text, an array of parts, or null.</summary>
    public JsonElement Content { get; init; }

    public string? ReasoningContent { get; init; }

    public string? Name { get; init; }

    public string? ToolCallId { get; init; }

    public List<ToolCallBody?>? ToolCalls { get; init; }
}

internal sealed record ResponseFormatBody(string? Type, JsonSchemaBody? JsonSchema);

internal sealed record JsonSchemaBody(string? Name, JsonElement Schema);

internal sealed record ToolBody(string? Type, FunctionBody? Function);

internal sealed record FunctionBody(string? Name, string? Description, JsonElement Parameters);

/// <summary>A call, in requests and in answers; in a stream it has an index.</summary>
internal sealed record ToolCallBody(int? Index, string? Id, string? Type, CalledFunctionBody? Function);

internal sealed record CalledFunctionBody(string? Name, string? Arguments);
