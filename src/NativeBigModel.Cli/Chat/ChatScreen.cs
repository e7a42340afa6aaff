using Microsoft.Extensions.AI;
using NativeBigModel.Planning;
using Spectre.Console;

namespace NativeBigModel.Cli.Chat;

/// <summary>Where a chat is shown: a terminal, with thoughts and notes dimmed; a file or pipe, that gets the answers; or one line of JSON an answer.</summary>
internal sealed class ChatScreen(IAnsiConsole console, bool json)
{
    private readonly bool _terminal = !json && !Console.IsOutputRedirected;
    private bool _thinking;

    /// <summary>What a chat begins with.</summary>
    public void Greet(BigModel model)
    {
        if (!_terminal) return;
        console.MarkupLineInterpolated($"[bold]{model.Plan.Model}[/]  [dim]a context of {model.Plan.ContextLength} tokens, {string.Join(", ", model.Plan.Devices.Select(device => $"{ByteSize.Format(device.TotalBytes)} on {device.Name}"))}[/]");
        console.MarkupLine("[dim]/help lists the commands; Ctrl-C stops an answer, Ctrl-D ends the chat[/]");
    }

    /// <summary>A part of an answer, as it comes.</summary>
    public void Show(ChatResponseUpdate update)
    {
        if (json) return;
        foreach (AIContent content in update.Contents)
        {
            if (content is TextReasoningContent thought && _terminal)
            {
                Think(true);
                Console.Out.Write(Printable(thought.Text));
            }
            else if (content is TextContent said)
            {
                Think(false);
                Console.Out.Write(_terminal ? Printable(said.Text) : said.Text);
            }
        }
    }

    /// <summary>The end of an answer, with its numbers.</summary>
    public void End(ChatReply turn, Plan plan, int maxNewTokens)
    {
        if (json)
        {
            Json.PrintLine(new
            {
                turn.Text,
                turn.Reasoning,
                FinishReason = turn.Last?.Finish is { } finish ? Commands.RunCommand.Reason(finish) : "stopped",
                PromptTokens = turn.Usage?.InputTokenCount,
                ReusedTokens = turn.Usage?.CachedInputTokenCount,
                turn.Tokens,
                Timings = new { PrefillS = turn.Last?.Prefill.TotalSeconds, TokensPerS = turn.Speed },
            });
            return;
        }
        if (_thinking) Think(false);
        Console.Out.WriteLine();
        if (turn.Last?.Finish is null) Note(turn.Text.Length > 0 ? "stopped; what was said so far counts" : "stopped, and the question taken back");
        else if (_terminal) Note(Numbers(turn));
        if (turn.Last?.Finish == FinishReason.MaxNewTokens) Note($"cut after the {maxNewTokens} tokens of --max-new-tokens");
        if (turn.Last?.Finish == FinishReason.ContextFull) Note($"the context is full: {turn.Total} of {plan.ContextLength} tokens. {MakeRoom}");
        if (_terminal) Console.Out.WriteLine();
    }

    /// <summary>What to do about a full context.</summary>
    public const string MakeRoom = "/undo and /new make room; --context N plans for more, and --keep-when-full N drops what is oldest";

    /// <summary>A line of the program's own. It never stands among answers that go to a file or pipe.</summary>
    public void Note(string text)
    {
        if (_terminal) console.MarkupLineInterpolated($"[dim]{text}[/]");
        else Console.Error.WriteLine(text);
    }

    /// <summary>An error after which the chat goes on.</summary>
    public void Error(string text) => console.MarkupLineInterpolated($"[red]{text}[/]");

    /// <summary>Where the model lives.</summary>
    public void Plan(BigModel model)
    {
        if (json)
        {
            Json.PrintLine(PlanJson.Of(model.Plan));
            return;
        }
        PlanTable.Print(model.Plan, model.Checkpoint.Describe(model.Plan.WeightType), console);
        if (model.Plan.Predicted is { } speed) PlanTable.PrintSpeed(speed, console);
    }

    /// <summary>The numbers of the last answer.</summary>
    public void Stats(ChatReply turn, Plan plan)
    {
        if (json)
        {
            Json.PrintLine(new { Streaming = turn.Streamed, turn.Usage!.InputTokenCount, turn.Usage.CachedInputTokenCount, turn.Usage.OutputTokenCount, Context = plan.ContextLength, TokensPerS = turn.Speed });
            return;
        }
        StreamingTable.Print(turn.Streamed, turn.Last!, turn.Tokens, console,
            ("speed", turn.Speed is { } speed ? $"{speed:0.0} tokens/s" : "one token"),
            ("prompt tokens", $"{turn.Usage!.InputTokenCount}, {turn.Usage.CachedInputTokenCount} of them computed before"),
            ("context", $"{turn.Total} of {plan.ContextLength} tokens"));
    }

    private static string Numbers(ChatReply turn)
    {
        string speed = turn.Speed is { } known ? $", {known:0.0}/s" : "";
        return $"{turn.Tokens} tokens{speed}; prompt {turn.Usage!.InputTokenCount}, {turn.Usage.CachedInputTokenCount} of them computed before, {PlanTable.Seconds(turn.Last!.Prefill.TotalSeconds)}";
    }

    private void Think(bool on)
    {
        if (on == _thinking) return;
        _thinking = on;
        console.Write(new ControlCode(on ? "\e[2m" : "\e[0m"));
        if (!on) Console.Out.WriteLine("\n");
    }

    // What a model says must not move the cursor or set the terminal's title.
    private static string Printable(string text) => string.Concat(text.Select(c => char.IsControl(c) && c is not ('\n' or '\t') ? '\uFFFD' : c));
}
