using Microsoft.Extensions.AI;
using NativeBigModel.Chat;

namespace NativeBigModel.Extensions.AI;

/// <summary>What <see cref="ChatOptions"/> ask for, in the library's terms.</summary>
internal static class RequestOptions
{
    /// <exception cref="UnsupportedModelException">A tool is no function.</exception>
    /// <exception cref="InvalidOptionException">A function must be called, and there are none.</exception>
    public static ChatRenderOptions Render(ChatOptions? options)
    {
        ChatRenderOptions render = new();
        if (options?.Tools is { Count: > 0 } tools && options.ToolMode is not NoneChatToolMode) render = render with { Tools = [.. tools.Select(Tool)] };
        if (options?.ToolMode is RequiredChatToolMode && render.Tools.IsEmpty) throw new InvalidOptionException($"{nameof(options.ToolMode)}: a function must be called, and there are none");
        if (options?.ToolMode is RequiredChatToolMode required) render = render with { RequiredTools = required.RequiredFunctionName is { } name ? [name] : [.. render.Tools.Select(tool => tool.Name)] };
        return options?.Reasoning?.Effort is { } effort ? render.WithReasoning(Name(effort)) : render;
    }

    /// <exception cref="UnsupportedModelException">The response's schema has a form that no grammar expresses.</exception>
    public static GenerateOptions Generate(ChatOptions? options, GenerateOptions defaults, IChatClient client)
    {
        options ??= new ChatOptions();
        GenerateOptions basis = options.RawRepresentationFactory?.Invoke(client) as GenerateOptions ?? defaults;
        return basis with
        {
            Temperature = options.Temperature ?? basis.Temperature,
            TopP = options.TopP ?? basis.TopP,
            TopK = options.TopK ?? basis.TopK,
            Seed = options.Seed is { } seed ? unchecked((uint)seed) : basis.Seed,
            MaxNewTokens = options.MaxOutputTokens ?? basis.MaxNewTokens,
            FrequencyPenalty = options.FrequencyPenalty ?? basis.FrequencyPenalty,
            PresencePenalty = options.PresencePenalty ?? basis.PresencePenalty,
            Grammar = options.ResponseFormat is ChatResponseFormatJson json ? Grammar(json) : basis.Grammar,
            StopStrings = [.. basis.StopStrings, .. options.StopSequences ?? []],
        };
    }

    private static string Grammar(ChatResponseFormatJson format) => format.Schema is { } schema ? JsonSchemaGrammar.Create(schema) : JsonSchemaGrammar.AnyObject;

    private static ChatTool Tool(AITool tool) => tool is AIFunctionDeclaration function
        ? new(function.Name, function.Description, function.JsonSchema)
        : throw new UnsupportedModelException($"the tool '{tool.Name}' is {tool.GetType().Name}, and only functions can be called");

    // The words of OpenAI's API, which templates test for.
    private static string Name(ReasoningEffort effort) => effort switch
    {
        ReasoningEffort.None => "none",
        ReasoningEffort.Low => "low",
        ReasoningEffort.Medium => "medium",
        _ => "high",
    };
}
