using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeBigModel.Server;

/// <summary>An answer to /v1/chat/completions, whole or a part of a stream.</summary>
internal sealed record ChatDocument(string Id, string Object, long Created, string Model, IReadOnlyList<ChatChoiceBody> Choices, UsageBody? Usage);

internal sealed record ChatChoiceBody(
    int Index, ChatMessageBody? Message, ChatMessageBody? Delta,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] ChatLogProbsBody? Logprobs,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FinishReason);

internal sealed record ChatMessageBody(string? Role, string? Content, string? ReasoningContent, IReadOnlyList<ToolCallBody>? ToolCalls);

internal sealed record ChatLogProbsBody(IReadOnlyList<TokenBody> Content);

internal sealed record TokenBody(string Token, float Logprob, int[] Bytes, IReadOnlyList<TokenBody>? TopLogprobs);

/// <summary>An answer to /v1/completions, whole or a part of a stream.</summary>
internal sealed record TextDocument(string Id, string Object, long Created, string Model, IReadOnlyList<TextChoiceBody> Choices, UsageBody? Usage);

internal sealed record TextChoiceBody(
    int Index, string Text,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] TextLogProbsBody? Logprobs,
    [property: JsonIgnore(Condition = JsonIgnoreCondition.Never)] string? FinishReason);

internal sealed record TextLogProbsBody(IReadOnlyList<string> Tokens, IReadOnlyList<float> TokenLogprobs, IReadOnlyList<Dictionary<string, float>> TopLogprobs, IReadOnlyList<int> TextOffset);

internal sealed record UsageBody(int PromptTokens, int CompletionTokens, int TotalTokens, PromptTokensBody PromptTokensDetails);

internal sealed record PromptTokensBody(int CachedTokens);

/// <summary>An answer to /v1/embeddings.</summary>
internal sealed record EmbeddingDocument(string Object, IReadOnlyList<EmbeddingBody> Data, string Model, EmbeddingUsageBody Usage);

/// <summary>A vector: an array of numbers, or base64.</summary>
internal sealed record EmbeddingBody(string Object, int Index, JsonElement Embedding);

internal sealed record EmbeddingUsageBody(int PromptTokens, int TotalTokens);

/// <summary>A model as /v1/models lists it.</summary>
internal sealed record ModelBody(string Id, string Object, long Created, string OwnedBy, int ContextLength);

internal sealed record ModelListBody(string Object, IReadOnlyList<ModelBody> Data);

internal sealed record HealthBody(string Status);
