using System.Collections.Immutable;

namespace NativeBigModel.Chat;

/// <summary>One message of a conversation, in the terms of the OpenAI API that chat templates are written for.</summary>
/// <param name="Role">Who speaks: <c>system</c>, <c>user</c>, <c>assistant</c> or <c>tool</c>, or another role that the template knows.</param>
/// <param name="Content">What is said; for <c>tool</c>, what the tool gave. Null counts as nothing said.</param>
public sealed record ChatMessage(string Role, string? Content)
{
    /// <summary>The tools that the assistant called in this message.</summary>
    public ImmutableArray<ChatToolCall> ToolCalls { get; init; } = [];

    /// <summary>What the assistant thought before it answered. Most templates leave out what was thought in earlier turns.</summary>
    public string? Reasoning { get; init; }

    /// <summary>For a message of a tool: the <see cref="ChatToolCall.Id"/> of the call that it answers.</summary>
    public string? ToolCallId { get; init; }

    /// <summary>For a message of a tool: the tool's name, which some templates want.</summary>
    public string? Name { get; init; }

    /// <summary>A message that says how to behave.</summary>
    public static ChatMessage System(string content) => new("system", content);

    /// <summary>A message of the user.</summary>
    public static ChatMessage User(string content) => new("user", content);

    /// <summary>An answer of the model.</summary>
    public static ChatMessage Assistant(string content) => new("assistant", content);

    /// <summary>What a tool gave.</summary>
    public static ChatMessage Tool(string toolCallId, string content, string? name = null) => new("tool", content) { ToolCallId = toolCallId, Name = name };
}

/// <summary>A call of a tool that a model asked for.</summary>
/// <param name="Id">What the tool's answer refers to; empty where the model's format has none.</param>
/// <param name="Name">The tool.</param>
/// <param name="Arguments">Its arguments, as the text of a JSON object.</param>
public sealed record ChatToolCall(string Id, string Name, string Arguments);
