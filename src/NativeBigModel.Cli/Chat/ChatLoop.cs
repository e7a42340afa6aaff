using Spectre.Console;

namespace NativeBigModel.Cli.Chat;

/// <summary>Reads lines, answers them, and carries out the commands among them.</summary>
internal sealed class ChatLoop
{
    private readonly Conversation _conversation;
    private readonly ChatScreen _screen;
    private readonly Interrupts _interrupts;
    private readonly int _maxNewTokens;
    private readonly bool _goesOn;
    private readonly Command[] _commands;
    private ChatReply? _last;
    private bool _done;
    private bool _interrupted;
    private volatile bool _reading;

    private sealed record Command(string Name, string Argument, string Help, Func<string, Task> Run);

    /// <param name="conversation">What is talked about.</param>
    /// <param name="screen">Where it is shown.</param>
    /// <param name="interrupts">What stops an answer.</param>
    /// <param name="maxNewTokens">Most tokens of an answer.</param>
    /// <param name="goesOn">Whether an error leaves the chat going: a person sees it and says something else, a script does not.</param>
    public ChatLoop(Conversation conversation, ChatScreen screen, Interrupts interrupts, int maxNewTokens, bool goesOn)
    {
        (_conversation, _screen, _interrupts, _maxNewTokens, _goesOn) = (conversation, screen, interrupts, maxNewTokens, goesOn);
        _commands =
        [
            new("/help", "", "this list", _ => Done(Help)),
            new("/plan", "", "where the model lives", _ => Done(() => screen.Plan(conversation.Model))),
            new("/stats", "", "the numbers of the last answer", _ => Done(Stats)),
            new("/new", "", "begin anew; so does /clear", _ => RestartAsync()),
            new("/clear", "", "", _ => RestartAsync()),
            new("/system", "[TEXT]", "how the model is to behave, from now on: see it, set it, or take it back with \"\"", text => Done(() => System(text))),
            new("/undo", "", "take back the last question and its answer", _ => Done(() => screen.Note(conversation.Undo() ? $"taken back; {conversation.Messages} messages are left" : "there is nothing to take back"))),
            new("/retry", "", "another answer to the last question", _ => AnswerAsync(null)),
            new("/save", "FILE", "keep the conversation, and what was computed of it", file => FileAsync(file, conversation.SaveAsync, "saved to")),
            new("/load", "FILE", "go on with a conversation that was saved", file => FileAsync(file, conversation.LoadAsync, "loaded from")),
            new("/exit", "", "end the chat; so does Ctrl-D", _ => Done(() => _done = true)),
            new("/quit", "", "", _ => Done(() => _done = true)),
        ];
    }

    /// <summary>What a line editor completes.</summary>
    public IReadOnlyList<string> Completions => [.. _commands.Select(command => command.Name)];

    /// <summary>Runs until the input ends, or someone ends it. Returns the exit code.</summary>
    public async Task<int> RunAsync(IChatInput input)
    {
        if (_goesOn) _interrupts.Idle = Signalled;
        while (!_done)
        {
            (_interrupts.StopsNext, _reading) = (false, true);
            ChatLine line = input.Read();
            _reading = false;
            if (line.Interrupted)
            {
                Interrupted();
                continue;
            }
            if (line.Text is null) break;
            _interrupted = false;
            await DoAsync(line.Text.Trim()).ConfigureAwait(false);
        }
        return ExitCode.Success;
    }

    // Until the terminal is in the editor's hands, Ctrl-C is a signal at the prompt too. After it, the line was taken, and its answer has not begun.
    private void Signalled()
    {
        if (_reading) Interrupted();
        else _interrupts.StopsNext = true;
    }

    private void Interrupted()
    {
        // A read of the terminal cannot be given up: the second one ends the program from here.
        if (Interlocked.Exchange(ref _interrupted, true)) Environment.Exit(ExitCode.Cancelled);
        _screen.Note("Ctrl-C again ends the chat; so do /exit and Ctrl-D");
    }

    private async Task DoAsync(string line)
    {
        try
        {
            if (line.Length == 0) return;
            if (line[0] != '/') await AnswerAsync(line).ConfigureAwait(false);
            else if (line.StartsWith("//", StringComparison.Ordinal)) await AnswerAsync(line[1..]).ConfigureAwait(false);
            else await CommandAsync(line).ConfigureAwait(false);
        }
        catch (Exception error) when (_goesOn && error is BigModelException or IOException or UnauthorizedAccessException)
        {
            _screen.Error(error is ContextFullException full ? $"the conversation has {full.Tokens} tokens, and the context holds {full.ContextLength}. {ChatScreen.MakeRoom}" : error.Message);
        }
    }

    private async Task CommandAsync(string line)
    {
        string[] parts = line.Split(' ', 2, StringSplitOptions.TrimEntries);
        Command command = Array.Find(_commands, command => command.Name == parts[0]) ?? throw new InvalidOptionException($"there is no command {parts[0]}; /help lists them, and // begins a message with a slash");
        string argument = parts.Length > 1 ? parts[1] : "";
        if (command.Argument.Length == 0 && argument.Length > 0) throw new InvalidOptionException($"{command.Name} takes nothing, and '{argument}' follows it");
        if (command.Argument.Length > 0 && command.Argument[0] != '[' && argument.Length == 0) throw new InvalidOptionException($"{command.Name} {command.Argument}: the {command.Argument} is missing");
        await command.Run(argument).ConfigureAwait(false);
    }

    private Task AnswerAsync(string? question) => _interrupts.RunAsync(async cancel =>
    {
        ChatReply? turn = question is not null
            ? await _conversation.AskAsync(question, _screen.Show, cancel).ConfigureAwait(false)
            : await _conversation.RetryAsync(_screen.Show, cancel).ConfigureAwait(false);
        if (turn is null) throw new InvalidOptionException("there is no question yet");
        _last = turn;
        _screen.End(turn, _conversation.Model.Plan, _maxNewTokens);
    });

    private async Task RestartAsync()
    {
        await _conversation.RestartAsync().ConfigureAwait(false);
        _screen.Note("a new conversation");
    }

    private void System(string text)
    {
        if (text.Length > 0) _conversation.System = text is "\"\"" or "''" ? "" : text;
        _screen.Note(_conversation.System.Length > 0 ? $"system: {_conversation.System}" : "the system message is empty");
    }

    private void Stats()
    {
        if (_last?.Usage is null) throw new InvalidOptionException("there is no whole answer yet");
        _screen.Stats(_last, _conversation.Model.Plan);
    }

    private Task FileAsync(string file, Func<string, CancellationToken, Task> work, string done) => _interrupts.RunAsync(async cancel =>
    {
        try
        {
            await work(file, cancel).ConfigureAwait(false);
            _screen.Note($"{_conversation.Messages} messages {done} {file}");
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested) { _screen.Note("stopped"); }
    });

    private void Help()
    {
        var grid = new Grid().AddColumn(new GridColumn().PadRight(2).NoWrap()).AddColumn();
        foreach (Command command in _commands.Where(command => command.Help.Length > 0)) grid.AddRow($"[bold]{Markup.Escape($"{command.Name} {command.Argument}")}[/]", Markup.Escape(command.Help));
        grid.AddRow("[bold]\\[/]", "at the end of a line: the message goes on in the next");
        Terminal.Console.Write(grid);
    }

    private static Task Done(Action work)
    {
        work();
        return Task.CompletedTask;
    }
}
