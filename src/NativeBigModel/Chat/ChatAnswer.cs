using System.Collections.Immutable;
using System.Text.Json;

namespace NativeBigModel.Chat;

/// <summary>A model's answer in its parts.</summary>
/// <param name="Content">What is said to the user.</param>
/// <param name="Reasoning">What was thought before; empty where nothing was.</param>
/// <param name="ToolCalls">The tools that it wants called.</param>
public sealed record ChatAnswer(string Content, string Reasoning, ImmutableArray<ChatToolCall> ToolCalls)
{
    internal static ChatAnswer Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        return new(Text(root, "content"), Text(root, "reasoning_content"),
            [.. root.GetProperty("tool_calls").EnumerateArray().Select(call => new ChatToolCall(Text(call, "id"), Text(call, "name"), Text(call, "arguments")))]);
    }

    private static string Text(JsonElement parent, string name) => parent.GetProperty(name).GetString()!;
}
