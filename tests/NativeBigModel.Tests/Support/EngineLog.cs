using Microsoft.Extensions.Logging;
using NativeBigModel.Native;

namespace NativeBigModel.Tests;

/// <summary>The lines that the engine logs for what one test does, other tests' lines left out.</summary>
internal static class EngineLog
{
    private static readonly AsyncLocal<List<string>?> s_lines = new();

    public static async Task<IReadOnlyList<string>> During(Func<Task> work)
    {
        List<string> lines = [];
        s_lines.Value = lines;
        ILogger? before = NativeLog.Logger;
        NativeLog.Logger = new Collector();
        try { await work(); }
        finally
        {
            NativeLog.Logger = before;
            s_lines.Value = null;
        }
        lock (lines) return [.. lines];
    }

    // The engine logs on the thread that calls it, and the caller's context flows there.
    private sealed class Collector : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (s_lines.Value is not { } lines) return;
            lock (lines) lines.Add(formatter(state, exception));
        }
    }
}
