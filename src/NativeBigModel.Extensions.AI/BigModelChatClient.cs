using System.Runtime.CompilerServices;
using Microsoft.Extensions.AI;
using NativeBigModel.Chat;

namespace NativeBigModel.Extensions.AI;

/// <summary>
/// <see cref="IChatClient"/> on a loaded model, with its own chat template. All members may be called at once from any thread; the model decides how many
/// answers it computes together.
/// </summary>
/// <remarks>
/// Honoured of <see cref="ChatOptions"/>: Instructions, Temperature, TopP, TopK, Seed, MaxOutputTokens, StopSequences, Tools (functions) with every ToolMode, Reasoning.Effort
/// as the template's enable_thinking and reasoning_effort, and a RawRepresentationFactory that gives <see cref="GenerateOptions"/>. A ToolMode that requires a call, of any function or of a
/// certain one, makes the answer follow the grammar of calls in the template's format; it goes before ResponseFormat. Functions are not invoked here; that is what ChatClientBuilder's
/// UseFunctionInvocation is for.
/// </remarks>
public sealed class BigModelChatClient : IChatClient
{
    private const string Provider = "nativebigmodel";

    private readonly ChatClientMetadata _metadata;
    private readonly ModelSession? _session;
    private readonly bool _ownsModel;

    /// <summary>Creates a client.</summary>
    /// <param name="model">The model.</param>
    /// <param name="template">The chat template; null for the checkpoint's.</param>
    /// <param name="defaults">How to generate where a call says nothing; null for the model's defaults and as many tokens as the context holds.</param>
    /// <param name="modelId">What answers say that they come from; null for the checkpoint's name.</param>
    /// <param name="ownsModel">Whether disposing of the client disposes of the model.</param>
    /// <exception cref="UnsupportedModelException">The checkpoint has no chat template, and none is given.</exception>
    public BigModelChatClient(BigModel model, ChatTemplate? template = null, GenerateOptions? defaults = null, string? modelId = null, bool ownsModel = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        Template = template ?? ChatTemplate.Find(model.Checkpoint) ?? throw new UnsupportedModelException("the checkpoint has no chat template, and none was given");
        Defaults = defaults ?? new GenerateOptions { MaxNewTokens = model.Plan.ContextLength };
        _ownsModel = ownsModel;
        _metadata = new(Provider, providerUri: null, modelId ?? Path.GetFileNameWithoutExtension(model.Checkpoint.Path));
    }

    /// <summary>Creates a client for one conversation: a session keeps what was computed of it, whatever others ask of the model. Calls take their turns.</summary>
    /// <param name="session">The session; it is not disposed of with the client.</param>
    /// <param name="template">The chat template; null for the checkpoint's.</param>
    /// <param name="defaults">How to generate where a call says nothing; null for the model's defaults and as many tokens as the context holds.</param>
    /// <param name="modelId">What answers say that they come from; null for the checkpoint's name.</param>
    /// <exception cref="UnsupportedModelException">The checkpoint has no chat template, and none is given.</exception>
    public BigModelChatClient(ModelSession session, ChatTemplate? template = null, GenerateOptions? defaults = null, string? modelId = null)
        : this((session ?? throw new ArgumentNullException(nameof(session))).Model, template, defaults, modelId) => _session = session;

    /// <summary>The model.</summary>
    public BigModel Model { get; }

    /// <summary>How conversations are rendered.</summary>
    public ChatTemplate Template { get; }

    /// <summary>How to generate where a call says nothing.</summary>
    public GenerateOptions Defaults { get; }

    /// <inheritdoc/>
    public Task<ChatResponse> GetResponseAsync(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default) =>
        GetStreamingResponseAsync(messages, options, cancellationToken).ToChatResponseAsync(cancellationToken);

    /// <inheritdoc/>
    /// <returns>The updates; the RawRepresentation of each is the <see cref="GenerationStep"/> that it came with.</returns>
    /// <exception cref="ChatTemplateException">The template refuses these messages.</exception>
    /// <exception cref="InvalidOptionException">The conversation is longer than the context, or an option is out of range.</exception>
    /// <exception cref="ContextFullException">The conversation of a session is longer than the context.</exception>
    public IAsyncEnumerable<ChatResponseUpdate> GetStreamingResponseAsync(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options = null, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(messages);
        return Stream(messages, options, cancellationToken);
    }

    /// <inheritdoc/>
    public object? GetService(Type serviceType, object? serviceKey = null)
    {
        ArgumentNullException.ThrowIfNull(serviceType);
        if (serviceKey is not null) return null;
        if (serviceType == typeof(ChatClientMetadata)) return _metadata;
        if (serviceType.IsInstanceOfType(this)) return this;
        if (serviceType == typeof(ModelSession)) return _session;
        return serviceType == typeof(BigModel) ? Model : serviceType == typeof(ChatTemplate) ? Template : serviceType == typeof(Tokenizer) ? Model.Tokenizer : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_ownsModel) Model.Dispose();
    }

    private async IAsyncEnumerable<ChatResponseUpdate> Stream(IEnumerable<Microsoft.Extensions.AI.ChatMessage> messages, ChatOptions? options, [EnumeratorCancellation] CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        ChatTurn turn = new(Model, Template, Conversation.Read(messages, options?.Instructions), RequestOptions.Render(options));
        Updates updates = new(options?.ModelId ?? _metadata.DefaultModelId!);
        int count = 0;
        GenerateOptions generate = RequestOptions.Generate(options, Defaults, this);
        IAsyncEnumerable<ChatStep> steps = _session is null ? turn.GenerateAsync(generate, cancel) : turn.GenerateAsync(_session, generate, cancel);
        await foreach (ChatStep step in steps.ConfigureAwait(false))
        {
            count++;
            foreach (ChatResponseUpdate update in updates.Of(step)) yield return update;
            if (step.Answer is { } answer) yield return updates.Last(answer.ToolCalls, step.Generated, turn.Prompt.Count, count);
        }
    }
}
