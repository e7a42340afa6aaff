using System.Collections.Immutable;
using Microsoft.Extensions.AI;
using NativeBigModel.Chat;

namespace NativeBigModel.Extensions.AI;

/// <summary>The updates of one response.</summary>
internal sealed class Updates(string modelId)
{
    private readonly string _id = $"chatcmpl-{Guid.NewGuid():N}";
    private readonly string _messageId = $"msg_{Guid.NewGuid():N}";
    private readonly DateTimeOffset _created = DateTimeOffset.UtcNow;

    public IEnumerable<ChatResponseUpdate> Of((string Content, string Reasoning) added)
    {
        if (added.Reasoning.Length > 0) yield return Update(new TextReasoningContent(added.Reasoning));
        if (added.Content.Length > 0) yield return Update(new TextContent(added.Content));
    }

    /// <param name="calls">The functions that the model wants called.</param>
    /// <param name="finish">Why the generation ended.</param>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="answerTokens">Tokens of the answer.</param>
    public ChatResponseUpdate Last(ImmutableArray<ChatToolCall> calls, FinishReason? finish, int promptTokens, int answerTokens)
    {
        ChatResponseUpdate update = Update([.. calls.Select(Conversation.Call),
            new UsageContent(new UsageDetails { InputTokenCount = promptTokens, OutputTokenCount = answerTokens, TotalTokenCount = promptTokens + answerTokens })]);
        update.FinishReason = finish is FinishReason.MaxNewTokens or FinishReason.ContextFull ? ChatFinishReason.Length : calls.Length > 0 ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        return update;
    }

    private ChatResponseUpdate Update(params List<AIContent> contents) => new(ChatRole.Assistant, contents)
    {
        ResponseId = _id,
        MessageId = _messageId,
        ModelId = modelId,
        CreatedAt = _created,
    };
}
