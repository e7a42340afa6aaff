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
    private bool _begun;

    /// <summary>What a step shows. The first one always gives an update: that is when the prompt is done.</summary>
    public IEnumerable<ChatResponseUpdate> Of(ChatStep step)
    {
        if (!_begun && step is { Reasoning.Length: 0, Content.Length: 0 }) yield return Update(step.Generated);
        _begun = true;
        if (step.Reasoning.Length > 0) yield return Update(step.Generated, new TextReasoningContent(step.Reasoning));
        if (step.Content.Length > 0) yield return Update(step.Generated, new TextContent(step.Content));
    }

    /// <param name="calls">The functions that the model wants called.</param>
    /// <param name="last">The last step.</param>
    /// <param name="promptTokens">Tokens of the prompt.</param>
    /// <param name="answerTokens">Tokens of the answer.</param>
    public ChatResponseUpdate Last(ImmutableArray<ChatToolCall> calls, GenerationStep last, int promptTokens, int answerTokens)
    {
        UsageDetails usage = new() { InputTokenCount = promptTokens, OutputTokenCount = answerTokens, TotalTokenCount = promptTokens + answerTokens, CachedInputTokenCount = last.ReusedTokens };
        ChatResponseUpdate update = Update(last, [.. calls.Select(Conversation.Call), new UsageContent(usage)]);
        update.FinishReason = last.Finish is FinishReason.MaxNewTokens or FinishReason.ContextFull ? ChatFinishReason.Length : calls.Length > 0 ? ChatFinishReason.ToolCalls : ChatFinishReason.Stop;
        return update;
    }

    private ChatResponseUpdate Update(GenerationStep step, params List<AIContent> contents) => new(ChatRole.Assistant, contents)
    {
        ResponseId = _id,
        MessageId = _messageId,
        ModelId = modelId,
        CreatedAt = _created,
        RawRepresentation = step,
    };
}
