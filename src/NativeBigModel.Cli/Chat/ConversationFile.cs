using System.Text.Json;
using Microsoft.Extensions.AI;

namespace NativeBigModel.Cli.Chat;

/// <summary>What was said, in the JSON of the OpenAI API, as <c>nbm template</c> reads it too.</summary>
internal static class ConversationFile
{
    /// <summary>Where the messages of a session's file are.</summary>
    public static string Beside(string sessionFile) => sessionFile + ".json";

    public static void Write(string file, string system, IReadOnlyList<ChatMessage> said)
    {
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        try
        {
            File.WriteAllText(partial, Json.Text(Messages()));
            File.Move(partial, file, overwrite: true);
        }
        finally { File.Delete(partial); }

        IEnumerable<object> Messages()
        {
            if (system.Length > 0) yield return new { Role = ChatRole.System.Value, Content = system };
            foreach (ChatMessage message in said) yield return new { Role = message.Role.Value, Content = message.Text };
        }
    }

    /// <exception cref="CheckpointException">The file is not such messages.</exception>
    public static (string System, List<ChatMessage> Said) Read(string file)
    {
        string system = "";
        List<ChatMessage> said = [];
        try
        {
            using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(file));
            foreach (JsonElement message in document.RootElement.EnumerateArray())
            {
                (string role, string content) = (message.GetProperty("role").GetString()!, message.GetProperty("content").GetString()!);
                if (role == ChatRole.System.Value && said.Count == 0) system = content;
                else said.Add(new(new ChatRole(role), content));
            }
        }
        catch (Exception error) when (error is JsonException or InvalidOperationException or KeyNotFoundException or ArgumentException)
        {
            throw new CheckpointException(Path.GetFileName(file), $"message {said.Count}", "is not a message with a role and a text", error);
        }
        return (system, said);
    }
}
