using System.Text.Json;
using System.Text.Json.Nodes;

namespace NativeBigModel.Chat;

/// <summary>What the chat library is asked to render: its JSON, as it is or with other letters where a message spells a special token.</summary>
internal sealed class ChatRequest(JsonElement messages, JsonElement? tools, ChatRenderOptions options, IReadOnlyDictionary<string, string> named)
{
    /// <summary>Whether a text of the messages or tools holds one of <paramref name="spellings"/>.</summary>
    public bool Says(Spellings spellings) => Says(messages, spellings) || (tools is { } some && Says(some, spellings));

    /// <summary>The request as UTF-8. With a mask, what it spells is replaced by as many zeros.</summary>
    public byte[] Write(Spellings? mask)
    {
        using MemoryStream stream = new();
        try
        {
            using Utf8JsonWriter writer = new(stream);
            writer.WriteStartObject();
            writer.WriteStartObject("input");
            writer.WritePropertyName("messages");
            Copy(messages, mask, writer);
            writer.WritePropertyName("tools");
            if (tools is { } some) Copy(some, mask, writer);
            else writer.WriteNullValue();
            writer.WriteNull("documents");
            writer.WriteEndObject();
            WriteVariables(writer);
            if (options.Now is { } now) writer.WriteNumber("now", now.ToUnixTimeSeconds());
            writer.WriteEndObject();
        }
        catch (InvalidOperationException error) { throw new InvalidOptionException($"a message holds half a character: {error.Message}"); }
        return stream.ToArray();
    }

    /// <summary>What the chat library is asked for the format of answers.</summary>
    public static byte[] WriteFormat(JsonElement messages, JsonElement? tools, ChatRenderOptions options, IReadOnlyDictionary<string, string> named)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            writer.WritePropertyName("messages");
            messages.WriteTo(writer);
            if (tools is { } some)
            {
                writer.WritePropertyName("tools");
                some.WriteTo(writer);
                writer.WriteBoolean("parallel_tool_calls", true);
                writer.WriteString("tool_choice", options.RequiredTools.IsEmpty ? "auto" : "required");
            }
            foreach (string name in (string[])["bos_token", "eos_token"])
            {
                if (named.TryGetValue(name, out string? text)) writer.WriteString(name, text);
            }
            if (options.Variables.GetValueOrDefault("enable_thinking") is JsonValue flag && flag.TryGetValue(out bool thinks)) writer.WriteBoolean("enable_thinking", thinks);
            writer.WriteStartObject("variables");
            WriteEach(writer, options.Variables);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
        return stream.ToArray();
    }

    private void WriteVariables(Utf8JsonWriter writer)
    {
        writer.WriteStartObject("variables");
        writer.WriteBoolean("add_generation_prompt", options.AddGenerationPrompt);
        foreach ((string name, string text) in named)
        {
            if (!options.Variables.ContainsKey(name)) writer.WriteString(name, text);
        }
        WriteEach(writer, options.Variables);
        writer.WriteEndObject();
    }

    private static void WriteEach(Utf8JsonWriter writer, IEnumerable<KeyValuePair<string, JsonNode?>> variables)
    {
        foreach ((string name, JsonNode? value) in variables)
        {
            writer.WritePropertyName(name);
            if (value is null) writer.WriteNullValue();
            else value.WriteTo(writer);
        }
    }

    private static bool Says(JsonElement value, Spellings spellings) => value.ValueKind switch
    {
        JsonValueKind.String => spellings.IsIn(value.GetString()!),
        JsonValueKind.Array => value.EnumerateArray().Any(item => Says(item, spellings)),
        JsonValueKind.Object => value.EnumerateObject().Any(entry => spellings.IsIn(entry.Name) || Says(entry.Value, spellings)),
        _ => false,
    };

    private static void Copy(JsonElement value, Spellings? mask, Utf8JsonWriter writer)
    {
        if (mask is null)
        {
            value.WriteTo(writer);
            return;
        }
        switch (value.ValueKind)
        {
            case JsonValueKind.String:
                writer.WriteStringValue(mask.Replace(value.GetString()!, '0'));
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (JsonElement item in value.EnumerateArray()) Copy(item, mask, writer);
                writer.WriteEndArray();
                break;
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (JsonProperty entry in value.EnumerateObject())
                {
                    writer.WritePropertyName(mask.Replace(entry.Name, '0'));
                    Copy(entry.Value, mask, writer);
                }
                writer.WriteEndObject();
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }
}
