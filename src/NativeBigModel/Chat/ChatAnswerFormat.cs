using System.Collections.Immutable;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using NativeBigModel.Native;

namespace NativeBigModel.Chat;

/// <summary>
/// How a model with a certain template writes what it thinks, says and wants called: llama.cpp finds it out from the template, for all formats that it knows.
/// <see cref="ChatTemplate.AnswerFormat"/> gives it. Thread-safe.
/// </summary>
public sealed partial class ChatAnswerFormat
{
    private readonly byte[] _json;

    internal ChatAnswerFormat(string json)
    {
        using JsonDocument document = JsonDocument.Parse(json);
        JsonElement root = document.RootElement;
        _json = Encoding.UTF8.GetBytes(json);
        StopStrings = Texts(root, "additional_stops");
        Markers = Texts(root, "preserved_tokens");
        Begun = root.GetProperty("generation_prompt").GetString()!;
        // Where calls are not required, the grammar begins with the first of them only.
        Grammar = root.GetProperty("grammar").GetString() is { Length: > 0 } grammar && !root.GetProperty("grammar_lazy").GetBoolean() ? ContentBeforeCalls().Replace(grammar, "$1", 1) : null;
        Thinks = root.GetProperty("thinking_start_tag").GetString() is { Length: > 0 } || root.GetProperty("thinking_end_tags").GetArrayLength() > 0;
    }

    /// <summary>Texts that end an answer in this format, besides the model's own end.</summary>
    public ImmutableArray<string> StopStrings { get; }

    /// <summary>Tokens whose spelling is part of the format: an answer to be parsed must hold them, though they may be special.</summary>
    public ImmutableArray<string> Markers { get; }

    /// <summary>Whether answers may begin with what the model thinks.</summary>
    public bool Thinks { get; }

    /// <summary>What an answer must follow where it must call a tool, beginning with <see cref="Begun"/>; null where it need not, or no format of calls is known.</summary>
    internal string? Grammar { get; }

    /// <summary>What the prompt ends with that belongs to the answer.</summary>
    internal string Begun { get; }

    /// <summary>The parts of an answer. What does not follow the format is content as it stands.</summary>
    /// <param name="text">The answer as generated, with the spelling of <see cref="Markers"/> and without what ended it.</param>
    /// <param name="partial">Whether more is to come: a call that is not complete is then left out or cut.</param>
    public ChatAnswer Parse(string text, bool partial = false)
    {
        ArgumentNullException.ThrowIfNull(text);
        return TryParse(text, partial) ?? new(text, "", []);
    }

    internal ChatAnswer? TryParse(string text, bool partial) => ChatLibrary.Parse(_json, text, partial) is { } json ? ChatAnswer.Parse(json) : null;

    // llama.cpp lets any text stand before a call, of which a model need not find an end. What it thinks stays.
    [GeneratedRegex(@"^(root ::= .*?)\buntil-\d+\? (?=\S*tool-call)", RegexOptions.Multiline)]
    private static partial Regex ContentBeforeCalls();

    private static ImmutableArray<string> Texts(JsonElement root, string name) => [.. root.GetProperty(name).EnumerateArray().Select(item => item.GetString()!)];
}
