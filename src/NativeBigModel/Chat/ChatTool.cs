using System.Text.Json;

namespace NativeBigModel.Chat;

/// <summary>A tool that a model may call.</summary>
/// <param name="Name">What the model calls it by.</param>
/// <param name="Description">When to use it, in words for the model.</param>
/// <param name="Parameters">A JSON schema of its arguments: an object with its properties.</param>
public sealed record ChatTool(string Name, string Description, JsonElement Parameters);
