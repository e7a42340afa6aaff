using System.Text;

namespace NativeBigModel.Chat;

/// <summary>Follows an answer while it is generated, and tells what is new in each of its parts. For one answer; not thread-safe.</summary>
/// <param name="tokenizer">The model's.</param>
/// <param name="format">How the answer is written; null where all of it is content.</param>
public sealed class ChatAnswerReader(Tokenizer tokenizer, ChatAnswerFormat? format = null)
{
    private readonly StringBuilder _text = new();
    private readonly Dictionary<int, string> _markers = Markers(tokenizer, format);
    private string _content = "";
    private string _reasoning = "";

    /// <summary>Takes the next step.</summary>
    /// <returns>What can be shown of it now: content and reasoning, either of them empty.</returns>
    public (string Content, string Reasoning) Add(GenerationStep step)
    {
        ArgumentNullException.ThrowIfNull(step);
        if (_markers.TryGetValue(step.Token, out string? marker)) _text.Append(marker);
        _text.Append(step.Text);
        if (format is null) return (step.Text, "");
        return format.TryParse(_text.ToString(), partial: true) is { } answer ? New(answer) : ("", "");
    }

    /// <summary>The whole answer, once the last step was taken, with what of it was not shown yet.</summary>
    public (ChatAnswer Answer, string Content, string Reasoning) Finish()
    {
        if (format is null) return (new(_text.ToString(), "", []), "", "");
        ChatAnswer answer = format.Parse(_text.ToString());
        (string content, string reasoning) = New(answer);
        return (answer, content, reasoning);
    }

    // A parser may take back what looked like content; what was shown stays shown.
    private (string, string) New(ChatAnswer answer) => (New(answer.Content, ref _content), New(answer.Reasoning, ref _reasoning));

    private static string New(string text, ref string shown)
    {
        if (text.Length <= shown.Length || !text.StartsWith(shown, StringComparison.Ordinal)) return "";
        string added = text[shown.Length..];
        shown = text;
        return added;
    }

    // Special tokens have no text in a generation.
    private static Dictionary<int, string> Markers(Tokenizer tokenizer, ChatAnswerFormat? format)
    {
        Dictionary<int, string> markers = [];
        foreach (string marker in format?.Markers ?? [])
        {
            if (tokenizer.Encode(marker, addSpecial: false) is [var token] && tokenizer.Decode([token], skipSpecial: true).Length == 0) markers[token] = marker;
        }
        return markers;
    }
}
