using System.CommandLine;
using Microsoft.Extensions.AI;
using NativeBigModel.Chat;
using NativeBigModel.Cli.Chat;

namespace NativeBigModel.Cli.Commands;

internal static class ChatCommand
{
    public const string Name = "chat";

    private static readonly Dictionary<string, ReasoningEffort> s_efforts = new(StringComparer.OrdinalIgnoreCase)
    {
        ["none"] = ReasoningEffort.None, ["low"] = ReasoningEffort.Low, ["medium"] = ReasoningEffort.Medium, ["high"] = ReasoningEffort.High,
    };

    public static Command Create()
    {
        var system = new Option<string?>("--system") { Description = "How the model is to behave", HelpName = "TEXT" };
        Option<string?> template = CommonOptions.TemplateFile();
        var reasoning = new Option<string?>("--reasoning") { Description = "How much the model thinks before it answers, where its template can say so", HelpName = string.Join('|', s_efforts.Keys) };
        var sampling = new SamplingOptions("as many as the context holds");
        var load = new LoadOptions();
        var json = new Option<bool>(CommonOptions.JsonName) { Description = "Print one line of JSON an answer" };
        var command = new Command(Name, "Load a model and talk with it; lines from a file or pipe are answered one by one");
        load.AddPathTo(command);
        foreach (Option option in (Option[])[system, template, reasoning]) command.Add(option);
        sampling.AddTo(command);
        load.AddTo(command);
        command.Add(json);
        command.SetGuardedAction(async (parsed, _) =>
        {
            using var interrupts = new Interrupts();
            ChatOptions request = new() { Instructions = parsed.GetValue(system), Reasoning = parsed.GetValue(reasoning) is { } effort ? new() { Effort = Effort(effort) } : null };
            GenerateOptions generate = sampling.Read(parsed, int.MaxValue);
            using var progress = new ProgressLine("loading");
            LoadedModels? loading = null;
            await interrupts.RunAsync(async cancel => loading = await load.LoadAsync(parsed, progress, cancel).ConfigureAwait(false)).ConfigureAwait(false);
            await using LoadedModels loaded = loading!;
            progress.Dispose();
            ChatTemplate? jinja = CommonOptions.ReadTemplate(parsed.GetValue(template), loaded.Model.Checkpoint);
            await using var conversation = new Conversation(loaded.Model, jinja, generate with { Speculation = loaded.Speculation }, request);
            conversation.RequireTemplate();
            return await TalkAsync(conversation, interrupts, generate.MaxNewTokens, parsed.GetValue(json)).ConfigureAwait(false);
        });
        return command;
    }

    private static async Task<int> TalkAsync(Conversation conversation, Interrupts interrupts, int maxNewTokens, bool json)
    {
        bool typed = !Console.IsInputRedirected, edited = typed && !Console.IsOutputRedirected && Terminal.Console.Profile.Capabilities.Ansi;
        var screen = new ChatScreen(Terminal.Console, json);
        var loop = new ChatLoop(conversation, screen, interrupts, maxNewTokens, goesOn: typed);
        if (typed) screen.Greet(conversation.Model);
        return await loop.RunAsync(edited ? new LineEditor(new InputHistory(InputHistory.UsersFile()), loop.Completions) : new PlainInput()).ConfigureAwait(false);
    }

    private static ReasoningEffort Effort(string name) => s_efforts.TryGetValue(name, out ReasoningEffort effort) ? effort
        : throw new InvalidOptionException($"--reasoning: '{name}' is not one of {string.Join(", ", s_efforts.Keys)}");
}
