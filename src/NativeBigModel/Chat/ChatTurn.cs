using System.Runtime.CompilerServices;

namespace NativeBigModel.Chat;

/// <summary>A step of an answer, as soon as its token is chosen.</summary>
/// <param name="Generated">The token.</param>
/// <param name="Content">What can be shown now of what is said to the user; often empty.</param>
/// <param name="Reasoning">What can be shown now of what is thought before; often empty.</param>
public sealed record ChatStep(GenerationStep Generated, string Content, string Reasoning)
{
    /// <summary>The whole answer, on the last step; null on the others.</summary>
    public ChatAnswer? Answer { get; init; }
}

/// <summary>A model's turn in a conversation: what was said, as the model reads it, and how its answer is to be read. Thread-safe; it may be generated more than once.</summary>
public sealed class ChatTurn
{
    private readonly BigModel _model;
    private readonly int[] _prompt;
    private readonly ChatAnswerFormat? _format;
    private readonly bool _callsTool;

    /// <summary>Renders a conversation.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">How the conversation is rendered.</param>
    /// <param name="messages">What was said.</param>
    /// <param name="options">What else the template is told; null for nothing.</param>
    /// <exception cref="ChatTemplateException">The template refuses these messages, or with tools, llama.cpp finds no format of calls in it.</exception>
    /// <exception cref="InvalidOptionException">A tool is required that is not there.</exception>
    public ChatTurn(BigModel model, ChatTemplate template, IReadOnlyList<ChatMessage> messages, ChatRenderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(template);
        ArgumentNullException.ThrowIfNull(messages);
        options ??= new();
        (_model, _prompt, _format) = (model, model.Tokenizer.Encode(template.Render(messages, options)), FormatOf(template, messages, options));
        _callsTool = !options.RequiredTools.IsEmpty;
        if (_callsTool && _format?.Grammar is null) throw new ChatTemplateException(template.Name, "llama.cpp finds no format of calls in it, so none can be required");
    }

    /// <summary>The tokens of the conversation, up to where the answer begins.</summary>
    public IReadOnlyList<int> Prompt => _prompt;

    /// <summary>Generates the answer.</summary>
    /// <param name="options">How to choose tokens; null for the defaults. Where a call is required, its grammar goes before <see cref="GenerateOptions.Grammar"/>.</param>
    /// <param name="cancel">Ends the stream with <see cref="OperationCanceledException"/>.</param>
    /// <exception cref="InvalidOptionException">The conversation is longer than the context, or an option is out of range.</exception>
    public IAsyncEnumerable<ChatStep> GenerateAsync(GenerateOptions? options = null, CancellationToken cancel = default) => Read(_model.GenerateAsync(_prompt, InFormat(options), cancel), cancel);

    /// <summary>Generates the answer on the conversation's own session, which keeps what was computed of it.</summary>
    /// <param name="session">The session, on this model.</param>
    /// <param name="options">How to choose tokens; null for the defaults. Where a call is required, its grammar goes before <see cref="GenerateOptions.Grammar"/>.</param>
    /// <param name="cancel">Ends the stream with <see cref="OperationCanceledException"/>; the session stays usable.</param>
    /// <exception cref="InvalidOptionException">An option is out of range.</exception>
    /// <exception cref="ContextFullException">The conversation is longer than the context.</exception>
    public IAsyncEnumerable<ChatStep> GenerateAsync(ModelSession session, GenerateOptions? options = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(session);
        return Read(session.GenerateAsync(_prompt, InFormat(options), cancel), cancel);
    }

    private GenerateOptions InFormat(GenerateOptions? options)
    {
        options ??= new();
        options = options with { StopStrings = [.. options.StopStrings, .. _format?.StopStrings ?? []] };
        return _callsTool ? options with { Grammar = _format!.Grammar, GrammarBegun = [.. _model.Tokenizer.Encode(_format.Begun, addSpecial: false)] } : options;
    }

    private async IAsyncEnumerable<ChatStep> Read(IAsyncEnumerable<GenerationStep> steps, [EnumeratorCancellation] CancellationToken cancel)
    {
        ChatAnswerReader reader = new(_model.Tokenizer, _format);
        await foreach (GenerationStep step in steps.WithCancellation(cancel).ConfigureAwait(false))
        {
            (string content, string reasoning) = reader.Add(step);
            if (step.Finish is null) yield return new(step, content, reasoning);
            else
            {
                (ChatAnswer answer, string lastContent, string lastReasoning) = reader.Finish();
                yield return new(step, content + lastContent, reasoning + lastReasoning) { Answer = answer };
            }
        }
    }

    // A template in which llama.cpp finds no format is one of plain content; with tools, that is an error.
    private static ChatAnswerFormat? FormatOf(ChatTemplate template, IReadOnlyList<ChatMessage> messages, ChatRenderOptions options)
    {
        try
        {
            ChatAnswerFormat format = template.AnswerFormat(messages, options);
            return format.Thinks || !options.Tools.IsEmpty ? format : null;
        }
        catch (ChatTemplateException) when (options.Tools.IsEmpty) { return null; }
    }
}
