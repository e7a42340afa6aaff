using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Extensions.Logging;

namespace NativeBigModel.Native;

/// <summary>
/// What the engine says. Warnings and errors are kept for a while, so that an exception can carry the engine's own words; every line goes to a logger where there is one.
/// The engine sends a line in fragments; fragments of one thread are joined until their newline.
/// </summary>
internal static unsafe partial class NativeLog
{
    private const int KeptLines = 256;
    private const int LongestLine = 8192;

    private static readonly Lock s_gate = new();
    private static readonly Queue<(long Number, string Text)> s_errors = new();
    private static long s_count;

    [ThreadStatic] private static StringBuilder? t_line;
    [ThreadStatic] private static GgmlLogLevel t_level;
    [ThreadStatic] private static int t_silences;

    /// <summary>Gets every line from now on. A logger that throws is ignored.</summary>
    public static ILogger? Logger { get; set; }

    /// <summary>The number of warnings and errors so far: take it before a call, and give it to <see cref="LastErrors"/> after.</summary>
    public static long Count
    {
        get
        {
            lock (s_gate) return s_count;
        }
    }

    /// <summary>Keeps what this thread makes the engine say from the logger until it is disposed of: a rehearsal is not news. Errors are kept as ever.</summary>
    public static Silence Silenced()
    {
        t_silences++;
        return default;
    }

    public static delegate* unmanaged[Cdecl]<GgmlLogLevel, byte*, void*, void> Callback => &OnFragment;

    /// <summary>The warnings and errors after number <paramref name="since"/>, oldest first, as far as they are still kept.</summary>
    public static IReadOnlyList<string> LastErrors(long since = 0)
    {
        lock (s_gate) return [.. from line in s_errors where line.Number > since select line.Text];
    }

    /// <summary><see cref="LastErrors"/> in one line, for an error message.</summary>
    public static string ErrorText(long since) => LastErrors(since) is { Count: > 0 } lines ? string.Join("; ", lines) : "it gave no reason";

    /// <summary>Takes one fragment; a line is complete at its newline, or when the same thread begins another.</summary>
    public static void Add(GgmlLogLevel level, string fragment)
    {
        StringBuilder line = t_line ??= new StringBuilder();
        if (level != GgmlLogLevel.Cont)
        {
            if (line.Length > 0) Complete(line);
            t_level = level;
        }
        foreach (char c in fragment)
        {
            if (c == '\n' || line.Length == LongestLine) Complete(line);
            if (c is not ('\n' or '\r')) line.Append(c);
        }
    }

    /// <summary>The end of <see cref="Silenced"/>, on the thread that began it.</summary>
    public readonly ref struct Silence : IDisposable
    {
        public void Dispose() => t_silences--;
    }

    private static void Complete(StringBuilder line)
    {
        string text = line.ToString();
        line.Clear();
        if (text.Length == 0) return;
        if (t_level is GgmlLogLevel.Warn or GgmlLogLevel.Error) Keep(text);
        if (t_silences > 0) return;
        LogLevel level = Level(t_level);
        if (Logger is { } logger && logger.IsEnabled(level)) Engine(logger, level, text);
    }

    private static void Keep(string text)
    {
        lock (s_gate)
        {
            s_errors.Enqueue((++s_count, text));
            if (s_errors.Count > KeptLines) s_errors.Dequeue();
        }
    }

    private static LogLevel Level(GgmlLogLevel level) => level switch
    {
        GgmlLogLevel.Error => LogLevel.Error,
        GgmlLogLevel.Warn => LogLevel.Warning,
        GgmlLogLevel.Info => LogLevel.Debug,
        _ => LogLevel.Trace,
    };

    [LoggerMessage(Message = "{Line}")]
    private static partial void Engine(ILogger logger, LogLevel level, string line);

    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnFragment(GgmlLogLevel level, byte* text, void* userData)
    {
        try
        {
            Add(level, Utf8.Text(text));
        }
#pragma warning disable CA1031 // Nothing may unwind through the engine's frames.
        catch (Exception)
#pragma warning restore CA1031
        {
            t_line?.Clear();
        }
    }
}
