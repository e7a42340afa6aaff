using Microsoft.Extensions.AI;
using NativeBigModel.Chat;
using NativeBigModel.Extensions.AI;
using ChatMessage = Microsoft.Extensions.AI.ChatMessage;

namespace NativeBigModel.Cli.Chat;

/// <summary>What was said so far, on a session that keeps what was computed of it. A call that fails leaves it as it was.</summary>
internal sealed class Conversation(BigModel model, ChatTemplate? template, GenerateOptions generate, ChatOptions request) : IAsyncDisposable
{
    private List<ChatMessage> _said = [];
    private ModelSession _session = model.CreateSession();
    private IChatClient? _client;

    public BigModel Model => model;

    /// <summary>How to behave; empty for nothing.</summary>
    public string System
    {
        get => request.Instructions ?? "";
        set => request.Instructions = value;
    }

    /// <summary>Messages of both sides.</summary>
    public int Messages => _said.Count;

    /// <summary>Whether the model can be talked with at all is found out here, before the first question.</summary>
    /// <exception cref="UnsupportedModelException">It has no chat template.</exception>
    public void RequireTemplate() => _client ??= _session.AsIChatClient(template, generate);

    /// <summary>Asks, and waits for the answer.</summary>
    public Task<ChatReply> AskAsync(string text, Action<ChatResponseUpdate> show, CancellationToken cancel) => AnswerAsync([.. _said, new(ChatRole.User, text)], show, cancel);

    /// <summary>Asks the last question again. Null where there is none.</summary>
    public async Task<ChatReply?> RetryAsync(Action<ChatResponseUpdate> show, CancellationToken cancel) =>
        LastQuestion() is { } last ? await AnswerAsync(_said[..(last + 1)], show, cancel).ConfigureAwait(false) : null;

    /// <summary>Forgets the last question and its answer. False where there is none.</summary>
    public bool Undo()
    {
        if (LastQuestion() is not { } last) return false;
        _said = _said[..last];
        return true;
    }

    /// <summary>Begins anew, with what <see cref="System"/> says.</summary>
    public Task RestartAsync() => ReplaceAsync(model.CreateSession(), []);

    /// <summary>Writes the session to a file, and what was said to another beside it.</summary>
    public async Task SaveAsync(string file, CancellationToken cancel)
    {
        await _session.SaveAsync(file, cancel).ConfigureAwait(false);
        ConversationFile.Write(ConversationFile.Beside(file), System, _said);
    }

    /// <summary>Goes on with what <see cref="SaveAsync"/> wrote.</summary>
    public async Task LoadAsync(string file, CancellationToken cancel)
    {
        (string system, List<ChatMessage> said) = ConversationFile.Read(ConversationFile.Beside(file));
        await ReplaceAsync(await model.LoadSessionAsync(file, cancel).ConfigureAwait(false), said).ConfigureAwait(false);
        System = system;
    }

    public ValueTask DisposeAsync() => _session.DisposeAsync();

    private async Task<ChatReply> AnswerAsync(List<ChatMessage> asked, Action<ChatResponseUpdate> show, CancellationToken cancel)
    {
        List<ChatResponseUpdate> updates = [];
        RequireTemplate();
        try
        {
            await foreach (ChatResponseUpdate update in _client!.GetStreamingResponseAsync(asked, request, cancel).ConfigureAwait(false))
            {
                updates.Add(update);
                show(update);
            }
        }
        catch (OperationCanceledException) when (cancel.IsCancellationRequested) { }
        ChatResponse response = updates.ToChatResponse();
        // A question without an answer is taken back: many templates want turns to alternate.
        if (response.Text.Length > 0) _said = [.. asked, .. response.Messages];
        string reasoning = string.Concat(updates.SelectMany(update => update.Contents).OfType<TextReasoningContent>().Select(thought => thought.Text));
        return new(response.Text, reasoning, updates.FirstOrDefault()?.RawRepresentation as GenerationStep, updates.LastOrDefault()?.RawRepresentation as GenerationStep, response.Usage);
    }

    private int? LastQuestion() => _said.FindLastIndex(message => message.Role == ChatRole.User) is >= 0 and var last ? last : null;

    private async Task ReplaceAsync(ModelSession session, List<ChatMessage> said)
    {
        await _session.DisposeAsync().ConfigureAwait(false);
        (_session, _client, _said) = (session, null, said);
    }
}
