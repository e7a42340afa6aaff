using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Microsoft.Extensions.AI;
using NativeBigModel.Chat;
using Message = Microsoft.Extensions.AI.ChatMessage;

namespace NativeBigModel.Extensions.AI;

/// <summary>Messages of Microsoft.Extensions.AI in the library's terms, and arguments of calls both ways.</summary>
internal static class Conversation
{
    private static readonly JsonTypeInfo<IDictionary<string, object?>> s_arguments = (JsonTypeInfo<IDictionary<string, object?>>)AIJsonUtilities.DefaultOptions.GetTypeInfo(typeof(IDictionary<string, object?>));

    /// <exception cref="UnsupportedModelException">A message holds more than texts, thoughts, calls and results.</exception>
    public static IReadOnlyList<Chat.ChatMessage> Read(IEnumerable<Message> messages, string? instructions)
    {
        List<Chat.ChatMessage> read = [];
        if (!string.IsNullOrEmpty(instructions)) read.Add(Chat.ChatMessage.System(instructions));
        foreach (Message message in messages) read.AddRange(Read(message));
        return read;
    }

    public static FunctionCallContent Call(ChatToolCall call) => FunctionCallContent.CreateFromParsedArguments(
        call.Arguments, call.Id.Length > 0 ? call.Id : $"call_{Guid.NewGuid():N}", call.Name, static text => JsonSerializer.Deserialize(text, s_arguments));

    private static IEnumerable<Chat.ChatMessage> Read(Message message)
    {
        foreach (AIContent content in message.Contents)
        {
            if (content is not (TextContent or TextReasoningContent or FunctionCallContent or FunctionResultContent or UsageContent or ErrorContent))
                throw new UnsupportedModelException($"a message holds {content.GetType().Name}, and text, reasoning, calls and results of functions can be rendered");
        }
        foreach (FunctionResultContent result in message.Contents.OfType<FunctionResultContent>()) yield return Chat.ChatMessage.Tool(result.CallId, Text(result.Result));
        string text = message.Text, reasoning = string.Concat(message.Contents.OfType<TextReasoningContent>().Select(content => content.Text));
        ChatToolCall[] calls = [.. message.Contents.OfType<FunctionCallContent>().Select(call => new ChatToolCall(call.CallId, call.Name, Arguments(call)))];
        if (text.Length == 0 && reasoning.Length == 0 && calls.Length == 0 && message.Contents.Count > 0 && message.Role == ChatRole.Tool) yield break;
        yield return new(message.Role.Value, text) { Reasoning = reasoning.Length > 0 ? reasoning : null, ToolCalls = [.. calls] };
    }

    private static string Arguments(FunctionCallContent call) => call.Arguments is null ? "{}" : JsonSerializer.Serialize(call.Arguments, s_arguments);

    private static string Text(object? result) => result switch
    {
        null => "",
        string text => text,
        JsonElement { ValueKind: JsonValueKind.String } text => text.GetString()!,
        _ => JsonSerializer.Serialize(result, AIJsonUtilities.DefaultOptions.GetTypeInfo(typeof(object))),
    };
}
