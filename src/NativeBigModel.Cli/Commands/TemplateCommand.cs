using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Chat;

namespace NativeBigModel.Cli.Commands;

internal static class TemplateCommand
{
    public static Command Create()
    {
        Argument<string> path = CommonOptions.Path();
        var messages = new Option<string>("--messages") { Description = "A JSON array of messages, as the OpenAI API has them", HelpName = "F", Required = true };
        var tools = new Option<string?>("--tools") { Description = "A JSON array of tools, as the OpenAI API has them", HelpName = "F" };
        var variables = new Option<string?>("--variables") { Description = "More variables of the template, as a JSON object, such as {\"enable_thinking\": false}", HelpName = "JSON" };
        var name = new Option<string?>("--name") { Description = "Which of several templates", HelpName = "NAME" };
        var prompt = new Option<bool>("--add-generation-prompt") { Description = "End where the answer begins" };
        Option<bool> json = CommonOptions.Json();
        var command = new Command("template", "Show a conversation as the model's chat template renders it") { path, messages, tools, variables, name, prompt, json };
        command.SetGuardedAction((parsed, _) =>
        {
            using Tokenizer tokenizer = Tokenizer.Open(parsed.GetRequiredValue(path));
            ChatTemplate template = Find(tokenizer, parsed.GetValue(name));
            using JsonDocument said = Read(parsed.GetRequiredValue(messages));
            using JsonDocument? offered = parsed.GetValue(tools) is { } file ? Read(file) : null;
            ChatRenderOptions options = new() { AddGenerationPrompt = parsed.GetValue(prompt) };
            if (parsed.GetValue(variables) is { } more) options = options with { Variables = options.Variables.AddRange(Object(more)) };
            ChatPrompt rendered = template.RenderJson(said.RootElement, offered?.RootElement, options);
            if (!parsed.GetValue(json))
            {
                Console.Out.WriteLine(rendered.Text);
                return Task.CompletedTask;
            }
            Json.Print(new { rendered.Text, Ids = tokenizer.Encode(rendered) });
            return Task.CompletedTask;
        });
        return command;
    }

    private static ChatTemplate Find(Tokenizer tokenizer, string? name)
    {
        if (ChatTemplate.Find(tokenizer, name) is { } template) return template;
        throw name is null
            ? new UnsupportedModelException("the checkpoint has no chat template")
            : new InvalidOptionException($"--name: '{name}'; the checkpoint has {(tokenizer.ChatTemplates.Count > 0 ? string.Join(", ", tokenizer.ChatTemplates.Keys) : "none")}");
    }

    private static JsonDocument Read(string file)
    {
        try { return JsonDocument.Parse(File.ReadAllBytes(file)); }
        catch (JsonException error) { throw new CheckpointException(Path.GetFileName(file), $"line {error.LineNumber + 1}", "is not JSON", error); }
    }

    private static JsonObject Object(string text)
    {
        try { return JsonNode.Parse(text) as JsonObject ?? throw new InvalidOptionException("--variables: is no JSON object"); }
        catch (JsonException error) { throw new InvalidOptionException($"--variables: {error.Message}"); }
    }
}
