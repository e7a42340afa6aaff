using System.Text.Json;

namespace NativeBigModel.Chat;

/// <summary>What a chat template understands, as llama.cpp finds out by rendering with it.</summary>
/// <param name="SystemRole">Whether it has a place for system messages.</param>
/// <param name="Tools">Whether it tells the model of tools.</param>
/// <param name="ToolCalls">Whether it renders calls of tools.</param>
/// <param name="ParallelToolCalls">Whether it renders several calls in one message.</param>
/// <param name="ObjectArguments">Whether it wants the arguments of calls as objects, and not as their text.</param>
public sealed record ChatCapabilities(bool SystemRole, bool Tools, bool ToolCalls, bool ParallelToolCalls, bool ObjectArguments)
{
    internal static ChatCapabilities Parse(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        bool Has(string name) => document.RootElement.TryGetProperty("supports_" + name, out JsonElement flag) && flag.GetBoolean();
        return new(Has("system_role"), Has("tools"), Has("tool_calls"), Has("parallel_tool_calls"), Has("object_arguments"));
    }
}
