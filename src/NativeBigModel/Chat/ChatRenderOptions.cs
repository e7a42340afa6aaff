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

    /// <summary>The same, with a wish how much the model thinks before it answers, as templates test for it: <c>enable_thinking</c> and <c>reasoning_effort</c>.</summary>
    /// <param name="effort">A word of OpenAI's API, such as <c>low</c> or <c>high</c>; <c>none</c> turns thinking off where a template can.</param>
    public ChatRenderOptions WithReasoning(string effort)
    {
        ArgumentNullException.ThrowIfNull(effort);
        ImmutableDictionary<string, JsonNode?> variables = Variables.SetItem("enable_thinking", JsonValue.Create(effort is not "none"));
        return this with { Variables = effort is "none" ? variables : variables.SetItem("reasoning_effort", JsonValue.Create(effort)) };
    }
}
