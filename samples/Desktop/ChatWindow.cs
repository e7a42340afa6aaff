using System.Text;
using Microsoft.Extensions.AI;
using NativeBigModel;
using NativeBigModel.Extensions.AI;
using NativeBigModel.Planning;

namespace DesktopChat;

/// <summary>A window with one model and one conversation. Nothing here blocks: what takes time is awaited, and goes on in GTK's thread.</summary>
internal sealed class ChatWindow
{
    private const string Style = """
        .bubble { padding: 8px 14px; border-radius: 14px; }
        .you { background: #3584e4; color: white; }
        .model { background: alpha(currentColor, 0.08); }
        .note { opacity: 0.65; font-size: small; }
        """;

    private readonly nint _window = Gtk.Window();
    private readonly nint _path = Gtk.Entry("A Hugging Face folder or a GGUF file");
    private readonly nint _limits = Gtk.Entry("Memory, such as 0=6GiB,cpu=12GiB; empty for all that is free");
    private readonly nint _load = Gtk.Button("Load");
    private readonly nint _progress = Gtk.Bar();
    private readonly nint _plan = Gtk.Box(vertical: true, 4);
    private readonly nint _messages = Gtk.Box(vertical: true, 8);
    private readonly nint _question = Gtk.Entry("Say something");
    private readonly nint _send = Gtk.Button("Send");
    private readonly nint _status = Gtk.Label("", "note");
    private readonly List<nint> _planRows = [];
    private readonly List<nint> _bubbles = [];

    private BigModel? _model;
    private ModelSession? _session;
    private List<ChatMessage> _said = [];
    private CancellationTokenSource? _cancel;
    private Task _work = Task.CompletedTask;

    public ChatWindow(string path, string limits, int? contextLength)
    {
        ContextLength = contextLength;
        Gtk.AddStyle(Style);
        Gtk.SetText(_path, path);
        Gtk.SetText(_limits, limits);
        Gtk.SetMargin(_messages, 4);
        nint content = Gtk.Box(vertical: true, 10,
            Gtk.Box(vertical: false, 8, _path, _load), _limits, _progress, _plan, Gtk.Scrolled(_messages), Gtk.Box(vertical: false, 8, _question, _send), _status);
        Gtk.SetMargin(content, 12);
        Gtk.SetChild(_window, content);
        Gtk.SetSize(_window, 720, 640);
        Gtk.On(_load, "clicked", () => Begin(_model is null ? LoadAsync : UnloadAsync));
        Gtk.On(_path, "activate", () => Begin(_model is null ? LoadAsync : UnloadAsync));
        Gtk.On(_send, "clicked", () => Begin(AnswerAsync));
        Gtk.On(_question, "activate", () => Begin(AnswerAsync));
        Gtk.OnClose(_window, Close);
        Refresh();
        Gtk.Present(_window);
    }

    /// <summary>Tokens that a conversation may hold; null for the usual number.</summary>
    public int? ContextLength { get; }

    /// <summary>How to choose tokens; null for the model's way.</summary>
    public GenerateOptions? Generate { get; set; }

    /// <summary>What is going on: a load, an answer, or nothing.</summary>
    public Task Work => _work;

    /// <summary>Loads the model, unloads it, or stops its loading: what the button says.</summary>
    public void PressLoad() => Gtk.Emit(_load, "clicked");

    /// <summary>Sends the question, or stops the answer: what the button says.</summary>
    public void PressSend() => Gtk.Emit(_send, "clicked");

    /// <summary>Writes a question and presses the enter key.</summary>
    public void Say(string text)
    {
        Gtk.SetText(_question, text);
        Gtk.Emit(_question, "activate");
    }

    /// <summary>What can be read in the window.</summary>
    public object Shown() => new
    {
        Load = Gtk.ButtonTextOf(_load),
        Send = Gtk.ButtonTextOf(_send),
        CanSend = Gtk.IsEnabled(_send) != 0,
        Plan = _planRows.Select(Gtk.BarTextOf),
        Messages = _bubbles.Select(Gtk.LabelOf),
        Status = Gtk.LabelOf(_status),
    };

    /// <summary>Ends what is going on, gives the model back, and ends the application.</summary>
    public void Close()
    {
        _cancel?.Cancel();
        _ = CloseAsync();
    }

    private async Task CloseAsync()
    {
        await _work;
        await GiveBackAsync();
        Gtk.Quit();
    }

    // While something is going on, the button that began it stops it.
    private void Begin(Func<Task> work)
    {
        if (_work.IsCompleted) _work = GuardAsync(work);
        else _cancel?.Cancel();
    }

    private async Task GuardAsync(Func<Task> work)
    {
        using var cancel = new CancellationTokenSource();
        _cancel = cancel;
        Gtk.SetLabel(_status, "");
        try { await work(); }
        catch (OperationCanceledException) { Gtk.SetLabel(_status, "stopped"); }
        catch (Exception error) { Gtk.SetLabel(_status, error.Message); }
        _cancel = null;
        Refresh();
    }

    private async Task LoadAsync()
    {
        (string path, string limits, CancellationToken cancel) = (Gtk.TextOf(_path), Gtk.TextOf(_limits), _cancel!.Token);
        Gtk.SetButton(_load, "Stop");
        Gtk.Enable(_send, false);
        Gtk.Show(_progress, true);
        try
        {
            (Checkpoint checkpoint, Plan plan) = await Task.Run(() =>
            {
                Checkpoint opened = Checkpoint.Open(path);
                return (opened, opened.Plan(Machine.Probe(), new() { MaxMemory = limits.Length > 0 ? MemoryLimits.Parse(limits) : null, ContextLength = ContextLength }));
            }, cancel);
            ShowPlan(plan);
            _model = await BigModel.LoadAsync(checkpoint, plan, new Progress<LoadProgress>(ShowProgress), cancel);
            _session = _model.CreateSession();
            // A model without a chat template is refused here, and not at the first question.
            _ = _session.AsIChatClient();
            Gtk.SetLabel(_status, $"a context of {plan.ContextLength} tokens; {plan.Predicted?.DecodeTokensPerSecond:0.#} tokens a second are expected");
        }
        catch
        {
            await GiveBackAsync();
            throw;
        }
    }

    private async Task UnloadAsync()
    {
        await GiveBackAsync();
        Gtk.SetLabel(_status, "unloaded");
    }

    private async Task GiveBackAsync()
    {
        (ModelSession? session, BigModel? model) = (_session, _model);
        (_session, _model, _said) = (null, null, []);
        if (session is not null) await session.DisposeAsync();
        if (model is not null) await model.DisposeAsync();
        Clear(_plan, _planRows);
        Clear(_messages, _bubbles);
    }

    private async Task AnswerAsync()
    {
        string text = Gtk.TextOf(_question).Trim();
        if (text.Length == 0 || _session is null) return;
        Gtk.SetText(_question, "");
        Gtk.SetButton(_send, "Stop");
        Gtk.Enable(_load, false);
        AddBubble("you", text, Gtk.Align.End);
        nint bubble = AddBubble("model", "…", Gtk.Align.Start);
        List<ChatMessage> asked = [.. _said, new(ChatRole.User, text)];
        var answer = new StringBuilder();
        ChatResponseUpdate? last = null;
        try
        {
            await foreach (ChatResponseUpdate update in _session.AsIChatClient(defaults: Generate).GetStreamingResponseAsync(asked, null, _cancel!.Token))
            {
                last = update;
                if (update.Text.Length == 0) continue;
                answer.Append(update.Text);
                Gtk.SetLabel(bubble, answer.ToString());
            }
        }
        finally
        {
            // What was said before a stop counts; a question without an answer does not.
            if (answer.Length > 0) _said = [.. asked, new(ChatRole.Assistant, answer.ToString())];
        }
        long tokens = last?.Contents.OfType<UsageContent>().SingleOrDefault()?.Details.OutputTokenCount ?? 0;
        if (tokens > 1 && last?.RawRepresentation is GenerationStep step) Gtk.SetLabel(_status, $"{tokens} tokens, {(tokens - 1) / step.Elapsed.TotalSeconds:0.0} a second");
    }

    private void ShowPlan(Plan plan)
    {
        Clear(_plan, _planRows);
        foreach (DevicePlan device in plan.Devices)
        {
            nint row = Gtk.Bar();
            string limit = device.LimitBytes is { } most ? $" of {ByteSize.Format(most)}" : "";
            string ring = device.RingBytes > 0 ? $", {ByteSize.Format(device.RingBytes)} of it a ring for streamed layers" : "";
            Gtk.SetBar(row, device.LimitBytes > 0 ? (double)device.TotalBytes / device.LimitBytes.Value : 0, $"{device.Name}: {ByteSize.Format(device.TotalBytes)}{limit}{ring}");
            Gtk.Append(_plan, row);
            _planRows.Add(row);
        }
    }

    private void ShowProgress(LoadProgress progress)
    {
        if (progress.BytesTotal > 0) Gtk.SetBar(_progress, (double)progress.BytesDone / progress.BytesTotal, $"{ByteSize.Format(progress.BytesDone)} of {ByteSize.Format(progress.BytesTotal)}");
    }

    private nint AddBubble(string style, string text, Gtk.Align align)
    {
        nint bubble = Gtk.Label(text, "bubble", style);
        Gtk.SetSelectable(bubble, 1);
        Gtk.SetHAlign(bubble, align);
        Gtk.Append(_messages, bubble);
        _bubbles.Add(bubble);
        return bubble;
    }

    private static void Clear(nint box, List<nint> children)
    {
        foreach (nint child in children) Gtk.Remove(box, child);
        children.Clear();
    }

    private void Refresh()
    {
        bool loaded = _model is not null;
        Gtk.SetTitle(_window, loaded ? $"{_model!.Plan.Model} – NativeBigModel" : "NativeBigModel");
        Gtk.SetButton(_load, loaded ? "Unload" : "Load");
        Gtk.SetButton(_send, "Send");
        Gtk.Enable(_load, true);
        Gtk.Enable(_send, loaded);
        Gtk.Enable(_question, loaded);
        // The focus goes before what has it is disabled.
        if (loaded) Gtk.Focus(_question);
        Gtk.Enable(_path, !loaded);
        Gtk.Enable(_limits, !loaded);
        Gtk.Show(_progress, false);
    }
}
