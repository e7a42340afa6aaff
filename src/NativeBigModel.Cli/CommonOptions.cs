using System.CommandLine;
using NativeBigModel.Chat;

namespace NativeBigModel.Cli;

/// <summary>Options that several commands have, made anew for each.</summary>
internal static class CommonOptions
{
    public const string JsonName = "--json";

    public static Argument<string> Path() => new("PATH") { Description = "A Hugging Face folder or a GGUF file" };

    public static Option<string[]> Lora() => new("--lora") { Description = "A folder with a LoRA adapter (PEFT) to merge into the weights; may be given more than once", HelpName = "DIR" };

    public static Option<string?> TemplateFile() => new("--chat-template", "--template") { Description = "A file with a chat template (Jinja) in place of the model's own", HelpName = "FILE" };

    /// <summary>The template that <see cref="TemplateFile"/> names, for a checkpoint; null where it names none.</summary>
    public static ChatTemplate? ReadTemplate(string? file, Checkpoint checkpoint) => file is null ? null : ChatTemplate.From(checkpoint, File.ReadAllText(file));

    public static Option<bool> Json() => new(JsonName) { Description = "Print one JSON object" };

    public static bool WantsJson(ParseResult parsed) => parsed.CommandResult.Command.Options.Any(option => option.Name == JsonName && parsed.GetValue((Option<bool>)option));

    /// <summary>The name of the first of these that the user wrote, or null.</summary>
    public static string? FirstGiven(this ParseResult parsed, params ReadOnlySpan<Option> options)
    {
        foreach (Option option in options)
        {
            if (parsed.GetResult(option) is { Implicit: false }) return option.Name;
        }
        return null;
    }

    /// <summary>Reads <c>1,2,3</c>.</summary>
    public static int[] ParseIds(string option, string text) =>
        [.. text.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries).Select(part =>
            int.TryParse(part, out int id) ? id : throw new InvalidOptionException($"{option}: '{part}' is not a token id"))];
}
