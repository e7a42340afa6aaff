using System.Text.Json;

namespace NativeBigModel.Chat;

/// <summary>Messages and tools in the JSON of the OpenAI API.</summary>
internal static class ChatMessageJson
{
    public static JsonDocument Write(IReadOnlyList<ChatMessage> messages, bool argumentsAsObjects) => Write(writer =>
    {
        writer.WriteStartArray();
        foreach (ChatMessage message in messages)
        {
            writer.WriteStartObject();
            writer.WriteString("role", message.Role);
            writer.WriteString("content", message.Content ?? "");
            WriteIfAny(writer, "reasoning_content", message.Reasoning);
            WriteIfAny(writer, "name", message.Name);
            WriteIfAny(writer, "tool_call_id", message.ToolCallId);
            if (message.ToolCalls.Length > 0) WriteCalls(writer, message.ToolCalls, argumentsAsObjects);
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    });

    public static JsonDocument Write(IReadOnlyList<ChatTool> tools) => Write(writer =>
    {
        writer.WriteStartArray();
        foreach (ChatTool tool in tools)
        {
            writer.WriteStartObject();
            writer.WriteString("type", "function");
            writer.WriteStartObject("function");
            writer.WriteString("name", tool.Name);
            writer.WriteString("description", tool.Description);
            writer.WritePropertyName("parameters");
            tool.Parameters.WriteTo(writer);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    });

    /// <summary>The messages with what the system says before the first message of the user.</summary>
    public static IReadOnlyList<ChatMessage> WithoutSystem(IReadOnlyList<ChatMessage> messages)
    {
        string said = string.Join("\n\n", messages.Where(message => message.Role is "system").Select(message => message.Content));
        List<ChatMessage> others = [.. messages.Where(message => message.Role is not "system")];
        int first = others.FindIndex(message => message.Role is "user");
        if (first < 0) others.Insert(0, ChatMessage.User(said));
        else others[first] = others[first] with { Content = $"{said}\n\n{others[first].Content}" };
        return others;
    }

    /// <exception cref="InvalidOptionException">They are no array of objects that have a role.</exception>
    public static void RequireMessages(JsonElement messages)
    {
        if (messages.ValueKind is not JsonValueKind.Array) throw new InvalidOptionException($"messages: {messages.ValueKind} where an array belongs");
        foreach ((int index, JsonElement message) in messages.EnumerateArray().Index())
        {
            if (message.ValueKind is not JsonValueKind.Object || !message.TryGetProperty("role", out JsonElement role) || role.ValueKind is not JsonValueKind.String)
                throw new InvalidOptionException($"messages: [{index}]: is no object with a role");
        }
    }

    private static void WriteCalls(Utf8JsonWriter writer, IReadOnlyList<ChatToolCall> calls, bool asObjects)
    {
        writer.WriteStartArray("tool_calls");
        foreach (ChatToolCall call in calls)
        {
            writer.WriteStartObject();
            WriteIfAny(writer, "id", call.Id.Length > 0 ? call.Id : null);
            writer.WriteString("type", "function");
            writer.WriteStartObject("function");
            writer.WriteString("name", call.Name);
            if (asObjects) WriteObject(writer, call);
            else writer.WriteString("arguments", call.Arguments);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
        writer.WriteEndArray();
    }

    private static void WriteObject(Utf8JsonWriter writer, ChatToolCall call)
    {
        try
        {
            using JsonDocument arguments = JsonDocument.Parse(call.Arguments);
            writer.WritePropertyName("arguments");
            arguments.RootElement.WriteTo(writer);
        }
        catch (JsonException error) { throw new InvalidOptionException($"the arguments of a call of {call.Name} are no JSON: {error.Message}"); }
    }

    private static void WriteIfAny(Utf8JsonWriter writer, string name, string? text)
    {
        if (text is not null) writer.WriteString(name, text);
    }

    private static JsonDocument Write(Action<Utf8JsonWriter> write)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream)) write(writer);
        return JsonDocument.Parse(stream.ToArray().AsMemory());
    }
}
