using System.Collections.Immutable;
using System.Text.Json.Nodes;

namespace NativeBigModel.Chat;

/// <summary>What a chat template is told besides the messages.</summary>
public sealed record ChatRenderOptions
{
    /// <summary>Whether the text ends where the assistant's answer begins. Without it, a finished conversation is rendered.</summary>
    public bool AddGenerationPrompt { get; init; } = true;

    /// <summary>The tools that the model may call.</summary>
    public ImmutableArray<ChatTool> Tools { get; init; } = [];

    /// <summary>Names of <see cref="Tools"/> of which the answer must call one; empty where it may answer without.</summary>
    public ImmutableArray<string> RequiredTools { get; init; } = [];

    /// <summary>More variables of the template, such as <c>enable_thinking</c>; they go before bos_token and the like.</summary>
    public ImmutableDictionary<string, JsonNode?> Variables { get; init; } = ImmutableDictionary<string, JsonNode?>.Empty;

    /// <summary>The time that the template sees as now; null for the clock's.</summary>
    public DateTimeOffset? Now { get; init; }
}
