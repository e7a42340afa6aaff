using System.Text.Json;
using NativeBigModel.Native;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Chat;

/// <summary>
/// A model's own chat template (Jinja), rendered as transformers renders it, by llama.cpp's engine. It needs the chat library and no engine. Thread-safe.
/// </summary>
/// <remarks>
/// Nothing that a message says becomes a special token, whatever it spells. A template that would loop, nest or grow without end is given up after
/// seconds, and its stack and memory are bounded.
/// </remarks>
public sealed class ChatTemplate
{
    /// <summary>The name of the template that counts where none is asked for.</summary>
    public const string DefaultName = "default";

    private readonly ChatTokens _tokens;
    private readonly Lazy<ChatCapabilities> _capabilities;

    private ChatTemplate(string name, string source, ChatTokens tokens)
    {
        (Name, Source, _tokens) = (name, source, tokens);
        _capabilities = new(() => ChatCapabilities.Parse(ChatLibrary.Capabilities(name, source)));
    }

    /// <summary>Its name in the checkpoint, <see cref="DefaultName"/> for the only one.</summary>
    public string Name { get; }

    /// <summary>The Jinja source.</summary>
    public string Source { get; }

    /// <summary>What it understands, found out by rendering with it.</summary>
    /// <exception cref="ChatTemplateException">The template is not valid.</exception>
    public ChatCapabilities Capabilities => _capabilities.Value;

    /// <summary>The spelling of the checkpoint's bos_token, eos_token and the like, by name: variables of the template.</summary>
    public IReadOnlyDictionary<string, string> SpecialTokens => _tokens.Named;

    /// <summary>A checkpoint's template; null where it has none of that name.</summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="name">Which one; null for <see cref="DefaultName"/>.</param>
    public static ChatTemplate? Find(Checkpoint checkpoint, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        return Find(checkpoint.Text, name);
    }

    /// <summary>A template of the checkpoint that a tokenizer is of, which may be one whose model nothing computes; null where it has none of that name.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="name">Which one; null for <see cref="DefaultName"/>.</param>
    public static ChatTemplate? Find(Tokenizer tokenizer, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        return Find(tokenizer.Text, name);
    }

    private static ChatTemplate? Find(CheckpointText text, string? name) =>
        text.ChatTemplates.TryGetValue(name ?? DefaultName, out string? source) ? new(name ?? DefaultName, source, text.ChatTokens) : null;

    /// <summary>A template of one's own for a checkpoint.</summary>
    /// <param name="checkpoint">Whose special tokens it uses.</param>
    /// <param name="source">The Jinja source.</param>
    public static ChatTemplate From(Checkpoint checkpoint, string source)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(source);
        return new(DefaultName, source, checkpoint.Text.ChatTokens);
    }

    /// <summary>
    /// Renders a conversation. Where the template knows no system role, what it says stands before the first message of the user.
    /// </summary>
    /// <exception cref="ChatTemplateException">The template is not valid, refuses these messages, or is over its budget.</exception>
    public ChatPrompt Render(IReadOnlyList<ChatMessage> messages, ChatRenderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(messages);
        options ??= new();
        bool asObjects = messages.Any(message => message.ToolCalls.Length > 0) && Capabilities.ObjectArguments;
        if (messages.Any(message => message.Role is "system") && !Capabilities.SystemRole) messages = ChatMessageJson.WithoutSystem(messages);
        using JsonDocument written = ChatMessageJson.Write(messages, asObjects);
        using JsonDocument? tools = options.Tools.IsEmpty ? null : ChatMessageJson.Write(options.Tools);
        return RenderJson(written.RootElement, tools?.RootElement, options);
    }

    /// <summary>Renders messages and tools in the JSON of the OpenAI API, handed to the template as they are, as transformers does.</summary>
    /// <param name="messages">An array of objects, each with a role.</param>
    /// <param name="tools">An array of tools; null for none.</param>
    /// <param name="options">What else the template is told; its tools are not used here.</param>
    /// <exception cref="ChatTemplateException">The template is not valid, refuses these messages, or is over its budget.</exception>
    /// <exception cref="InvalidOptionException">They are not what the parameters say.</exception>
    public ChatPrompt RenderJson(JsonElement messages, JsonElement? tools = null, ChatRenderOptions? options = null)
    {
        options ??= new();
        ChatMessageJson.RequireMessages(messages);
        ChatRequest request = new(messages, tools, options, _tokens.Named);
        (string text, List<(int, int)> literal) = ChatLibrary.Render(Name, Source, request.Write(mask: null));
        if (request.Says(_tokens.Spellings)) literal = Differing(text, literal, ChatLibrary.Render(Name, Source, request.Write(_tokens.Spellings)).Text);
        return new(text, literal);
    }

    /// <summary>How the model writes its answer to this conversation, for telling apart what it thinks, says and wants called.</summary>
    /// <exception cref="ChatTemplateException">The template is not valid, refuses these messages, or is one that llama.cpp finds no format in.</exception>
    /// <exception cref="InvalidOptionException">A tool is required that is not there.</exception>
    public ChatAnswerFormat AnswerFormat(IReadOnlyList<ChatMessage> messages, ChatRenderOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(messages);
        options ??= new();
        if (options.RequiredTools.FirstOrDefault(name => options.Tools.All(tool => tool.Name != name)) is { } missing) throw new InvalidOptionException($"{nameof(options.RequiredTools)}: there is no tool '{missing}'");
        using JsonDocument written = ChatMessageJson.Write(messages, argumentsAsObjects: false);
        using JsonDocument? tools = options.Tools.IsEmpty ? null : ChatMessageJson.Write([.. options.Tools.Where(tool => options.RequiredTools.IsEmpty || options.RequiredTools.Contains(tool.Name))]);
        return new(ChatLibrary.Format(Name, Source, ChatRequest.WriteFormat(written.RootElement, tools?.RootElement, options, _tokens.Named)));
    }

    // The engine's filters lose track of what was input, and so the conversation is rendered once more with other letters in place of what spells a token: what changes was said.
    private static List<(int, int)> Differing(string text, List<(int Begin, int End)> literal, string other)
    {
        if (other.Length != text.Length) return literal;
        bool[] said = new bool[text.Length];
        foreach ((int begin, int end) in literal) said.AsSpan(begin, end - begin).Fill(true);
        for (int i = 0; i < text.Length; i++) said[i] |= text[i] != other[i];
        List<(int, int)> all = [];
        for (int i = 0; i < said.Length; i++)
        {
            if (!said[i]) continue;
            int begin = i;
            while (i < said.Length && said[i]) i++;
            all.Add((begin, i));
        }
        return all;
    }
}
