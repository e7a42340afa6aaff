using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using NativeBigModel.Chat;

namespace NativeBigModel.Server;

/// <summary>Messages, tools and formats of a request in the library's terms.</summary>
internal static partial class ConversationReader
{
    private const string Named = "function ";

    private static readonly JsonElement s_noParameters = JsonElement.Parse("""{"type": "object", "properties": {}}""");

    /// <exception cref="ApiException">There are none, or one holds more than text and calls.</exception>
    public static IReadOnlyList<ChatMessage> Messages(ChatRequestBody request)
    {
        if (request.Messages is not { Count: > 0 } messages) throw ApiException.BadValue("messages", "at least one message is needed");
        Dictionary<string, string> called = [];
        List<ChatMessage> read = [];
        foreach ((int index, MessageBody? message) in messages.Index())
        {
            string at = $"messages[{index}]";
            ChatMessage one = Message(message ?? throw ApiException.BadValue(at, "null, and an object was expected"), at);
            foreach (ChatToolCall call in one.ToolCalls) called[call.Id] = call.Name;
            // Some templates want to know which tool it was that answered.
            if (one.ToolCallId is { } id && one.Name is null && called.TryGetValue(id, out string? name)) one = one with { Name = name };
            read.Add(one);
        }
        return read;
    }

    /// <summary>What the template is told, and how the answer is to be.</summary>
    /// <exception cref="ApiException">A tool is no function, or the choice names one that is not there.</exception>
    public static ChatRenderOptions Render(ChatRequestBody request)
    {
        if (JsonText.IsGiven(request.Functions)) throw ApiException.BadValue("functions", "they are not known any more; use tools");
        if (JsonText.IsGiven(request.Audio)) throw ApiException.BadValue("audio", "this server answers in text only");
        ChatRenderOptions render = new() { Tools = [.. (request.Tools ?? []).Select(Tool)] };
        if (request.ReasoningEffort is { } effort) render = render.WithReasoning(effort);
        foreach ((string name, JsonElement value) in request.ChatTemplateKwargs ?? []) render = render with { Variables = render.Variables.SetItem(name, JsonNode.Parse(value.GetRawText())) };
        return Choice(request.ToolChoice) switch
        {
            "none" => render with { Tools = [] },
            null or "auto" => render,
            _ when render.Tools.IsEmpty => throw ApiException.BadValue("tool_choice", "there are no tools"),
            "required" => render with { RequiredTools = [.. render.Tools.Select(static tool => tool.Name)] },
            { } choice when choice.StartsWith(Named, StringComparison.Ordinal) && render.Tools.Any(tool => tool.Name == choice[Named.Length..]) => render with { RequiredTools = [choice[Named.Length..]] },
            _ => throw ApiException.BadValue("tool_choice", "it is none of 'none', 'auto', 'required' and a function that is there"),
        };
    }

    /// <summary>The grammar that a response's format asks for, or null.</summary>
    /// <exception cref="ApiException">The format is unknown.</exception>
    /// <exception cref="InvalidOptionException">The schema has a form that no grammar expresses.</exception>
    public static string? Grammar(ResponseFormatBody? format) => format?.Type switch
    {
        null when format is null => null,
        "text" => null,
        "json_object" => JsonSchemaGrammar.AnyObject,
        "json_schema" when format.JsonSchema?.Schema is { ValueKind: JsonValueKind.Object } schema => JsonSchemaGrammar.Create(schema),
        "json_schema" => throw ApiException.BadValue("response_format", "json_schema.schema must be an object"),
        _ => throw ApiException.BadValue("response_format", "its type is 'text', 'json_object' or 'json_schema'"),
    };

    // The choice as a word; a function stands behind a sign that no word has.
    private static string? Choice(JsonElement choice) => choice.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null => null,
        JsonValueKind.Object when choice.TryGetProperty("function", out JsonElement function) && function.ValueKind is JsonValueKind.Object && function.TryGetProperty("name", out JsonElement name) => Named + JsonText.Of(name, "tool_choice"),
        _ => JsonText.Of(choice, "tool_choice"),
    };

    private static ChatMessage Message(MessageBody message, string at)
    {
        string role = message.Role switch
        {
            "developer" => "system",
            "system" or "user" or "assistant" or "tool" => message.Role,
            null => throw ApiException.BadValue($"{at}.role", "it is missing"),
            _ => throw ApiException.BadValue($"{at}.role", "it is none of 'system', 'developer', 'user', 'assistant' and 'tool'"),
        };
        string? content = Content(message.Content, $"{at}.content");
        if (content is null && role is not "assistant") throw ApiException.BadValue($"{at}.content", "it is missing");
        if (role is "tool" && message.ToolCallId is null) throw ApiException.BadValue($"{at}.tool_call_id", "it is missing");
        return new(role, content)
        {
            Reasoning = message.ReasoningContent,
            Name = message.Name,
            ToolCallId = message.ToolCallId,
            ToolCalls = [.. (message.ToolCalls ?? []).Select((call, index) => Call(call, $"{at}.tool_calls[{index}]"))],
        };
    }

    private static string? Content(JsonElement content, string at) => content.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null => null,
        JsonValueKind.String => JsonText.Of(content, at),
        JsonValueKind.Array => string.Concat(content.EnumerateArray().Select(part => Part(part, at))),
        _ => throw ApiException.BadValue(at, "a text or an array of parts was expected"),
    };

    private static string Part(JsonElement part, string at)
    {
        if (part.ValueKind is not JsonValueKind.Object || !part.TryGetProperty("type", out JsonElement type)) throw ApiException.BadValue(at, "a part is no object with a type");
        string name = JsonText.Of(type, at);
        string member = name is "refusal" ? "refusal" : "text";
        return name is "text" or "refusal" && part.TryGetProperty(member, out JsonElement text) ? JsonText.Of(text, at) : throw ApiException.BadValue(at, "a part that is not text cannot be read by this model");
    }

    private static ChatToolCall Call(ToolCallBody? call, string at) => call?.Function is { Name: { } name } function
        ? new(call.Id ?? "", name, function.Arguments is { Length: > 0 } arguments ? arguments : "{}")
        : throw ApiException.BadValue(at, "a call of a function with a name was expected");

    private static ChatTool Tool(ToolBody? tool)
    {
        if (tool is not { Type: "function", Function: { } function }) throw ApiException.BadValue("tools", "each is an object with 'type': 'function' and a 'function'");
        if (function.Name is null || !FunctionName().IsMatch(function.Name)) throw ApiException.BadValue("tools", "a function's name has 1 to 64 letters, digits, '_' and '-'");
        if (function.Parameters.ValueKind is not (JsonValueKind.Object or JsonValueKind.Null or JsonValueKind.Undefined)) throw ApiException.BadValue("tools", $"the parameters of {function.Name} are no schema");
        return new(function.Name, function.Description ?? "", function.Parameters.ValueKind is JsonValueKind.Object ? function.Parameters : s_noParameters);
    }

    [GeneratedRegex("^[a-zA-Z0-9_-]{1,64}$")]
    private static partial Regex FunctionName();
}
