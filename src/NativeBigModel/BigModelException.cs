using System.Globalization;

namespace NativeBigModel;

/// <summary>The root of every error this library raises on purpose. The message is one line that says what, where and which numbers disagree.</summary>
public abstract class BigModelException : Exception
{
    private protected BigModelException(string message, Exception? inner = null) : base(Line(message), inner) { }

    // Names inside hostile files may hold line breaks and terminal escapes; an error stays one printable line.
    private static string Line(string text)
    {
        const int limit = 1000;
        string cut = text.Length <= limit ? text : string.Concat(text.AsSpan(0, limit), "...");
        return string.Create(cut.Length, cut, static (to, from) =>
        {
            for (int i = 0; i < to.Length; i++) to[i] = Printable(from[i]) ? from[i] : '?';
        });
    }

    private static bool Printable(char c) => !char.IsSurrogate(c) && char.GetUnicodeCategory(c) is not
        (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
}

/// <summary>A checkpoint file is malformed: it contradicts itself, its format or another file of the same checkpoint.</summary>
public sealed class CheckpointException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="file">The file, by name.</param>
    /// <param name="field">The place inside the file: a tensor, a key, an offset.</param>
    /// <param name="problem">What is wrong there, with the numbers that disagree.</param>
    /// <param name="inner">The cause, where there is one.</param>
    public CheckpointException(string file, string field, string problem, Exception? inner = null)
        : base($"{file}: {(field.Length <= 200 ? field : field[..200] + "...")}: {problem}", inner) => (File, Field) = (file, field);

    /// <summary>The file, by name.</summary>
    public string File { get; }

    /// <summary>The place inside the file: a tensor, a key, an offset.</summary>
    public string Field { get; }
}

/// <summary>The checkpoint is well formed, but asks for something that this version cannot compute faithfully.</summary>
public sealed class UnsupportedModelException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="message">What is missing, by name.</param>
    public UnsupportedModelException(string message) : base(message) { }
}

/// <summary>An option or argument is outside what the model or the format allows.</summary>
public sealed class InvalidOptionException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="message">Which option, its value, and what it may be.</param>
    public InvalidOptionException(string message) : base(message) { }
}

/// <summary>The plan needs more bytes than a device may give.</summary>
public sealed class DoesNotFitException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="device">The <see cref="Planning.DeviceName"/> of the device that is short.</param>
    /// <param name="neededBytes">Bytes that the plan puts there.</param>
    /// <param name="limitBytes">Bytes that it may use.</param>
    /// <param name="advice">What would make it fit.</param>
    public DoesNotFitException(string device, long neededBytes, long limitBytes, string advice)
        : base($"{Planning.DeviceName.Label(device)}: {neededBytes} bytes are needed and {limitBytes} are allowed; {advice}")
        => (Device, NeededBytes, LimitBytes) = (device, neededBytes, limitBytes);

    /// <summary>The <see cref="Planning.DeviceName"/> of the device that is short.</summary>
    public string Device { get; }

    /// <summary>Bytes that the plan puts there.</summary>
    public long NeededBytes { get; }

    /// <summary>Bytes that it may use.</summary>
    public long LimitBytes { get; }
}

/// <summary>The native engine is missing, was refused by the loader, or failed while running.</summary>
public sealed class EngineException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="message">What failed, with the engine's own words where it had any.</param>
    /// <param name="inner">The cause, where there is one.</param>
    public EngineException(string message, Exception? inner = null) : base(message, inner) { }
}

/// <summary>A chat template is not valid, refuses the messages that it was given, or needs more time, stack or memory than a template may have.</summary>
public sealed class ChatTemplateException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="template">The template's name.</param>
    /// <param name="problem">What is wrong, after the line and column where it is known.</param>
    public ChatTemplateException(string template, string problem) : base($"chat template '{template}': {problem}") => Template = template;

    /// <summary>The template's name.</summary>
    public string Template { get; }
}

/// <summary>A conversation has more tokens than the plan's context may hold.</summary>
public sealed class ContextFullException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="tokens">Tokens of the conversation.</param>
    /// <param name="contextLength">Tokens that it may have.</param>
    public ContextFullException(int tokens, int contextLength)
        : base($"the session has {tokens} tokens, and the context was planned for {contextLength}; plan for a longer one, or set {nameof(GenerateOptions.KeepWhenFull)}")
        => (Tokens, ContextLength) = (tokens, contextLength);

    /// <summary>Tokens of the conversation.</summary>
    public int Tokens { get; }

    /// <summary>Tokens that it may have.</summary>
    public int ContextLength { get; }
}

/// <summary>A file of a saved session is damaged, or is of another model.</summary>
public sealed class SessionFileException : BigModelException
{
    /// <summary>Creates the error.</summary>
    /// <param name="file">The file, by name.</param>
    /// <param name="problem">What is wrong, with the numbers or names that disagree.</param>
    public SessionFileException(string file, string problem) : base($"{file}: {problem}") => File = file;

    /// <summary>The file, by name.</summary>
    public string File { get; }
}
