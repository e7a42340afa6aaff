using Microsoft.Extensions.Logging;
using NativeBigModel.Native;

namespace NativeBigModel.Tests.Native;

public sealed class NativeLogTests
{
    [Fact]
    public void Fragments_are_joined_until_their_newline()
    {
        long since = NativeLog.Count;
        NativeLog.Add(GgmlLogLevel.Error, "test: one");
        NativeLog.Add(GgmlLogLevel.Cont, " and");
        Assert.DoesNotContain("test: one and", NativeLog.LastErrors(since));
        NativeLog.Add(GgmlLogLevel.Cont, " two\n");
        Assert.Contains("test: one and two", NativeLog.LastErrors(since));
    }

    [Fact]
    public void A_new_line_completes_the_one_that_lacks_its_newline()
    {
        long since = NativeLog.Count;
        NativeLog.Add(GgmlLogLevel.Warn, "test: open");
        NativeLog.Add(GgmlLogLevel.Info, "test: not an error\n");
        NativeLog.Add(GgmlLogLevel.Error, "test: first\ntest: second\n");
        Assert.Equal(["test: open", "test: first", "test: second"], Mine(since));
    }

    [Fact]
    public void Threads_do_not_mix_their_fragments()
    {
        long since = NativeLog.Count;
        NativeLog.Add(GgmlLogLevel.Error, "test: mine");
        Thread other = new(static () => NativeLog.Add(GgmlLogLevel.Error, "test: theirs\n"));
        other.Start();
        other.Join();
        NativeLog.Add(GgmlLogLevel.Cont, " whole\n");
        Assert.Equal(["test: theirs", "test: mine whole"], Mine(since));
    }

    [Fact]
    public void Only_the_last_lines_are_kept()
    {
        long since = NativeLog.Count;
        for (int i = 0; i < 2000; i++) NativeLog.Add(GgmlLogLevel.Error, $"test: {i}\n");
        Assert.InRange(NativeLog.LastErrors(since).Count, 1, 256);
        Assert.Equal("test: 1999", Mine(since)[^1]);
    }

    [Fact]
    public void The_engines_own_words_arrive_and_reach_the_logger()
    {
        EngineLibrary.Load();
        Recorder recorder = new();
        NativeLog.Logger = recorder;
        long since = NativeLog.Count;
        try
        {
            using LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile("/absent/модель.gguf", LlamaModelApi.LlamaModelDefaultParams());
            Assert.True(model.IsInvalid);
        }
        finally
        {
            NativeLog.Logger = null;
        }
        Assert.Contains(NativeLog.LastErrors(since), static line => line.Contains("/absent/модель.gguf", StringComparison.Ordinal));
        Assert.Contains(recorder.Lines, static line => line.Contains("/absent/модель.gguf", StringComparison.Ordinal));
    }

    [Fact]
    public void A_logger_that_throws_does_not_reach_the_engine()
    {
        EngineLibrary.Load();
        NativeLog.Logger = new Thrower();
        try
        {
            using LlamaModelHandle model = LlamaModelApi.LlamaModelLoadFromFile("/absent/other.gguf", LlamaModelApi.LlamaModelDefaultParams());
            Assert.True(model.IsInvalid);
        }
        finally
        {
            NativeLog.Logger = null;
        }
    }

    private static List<string> Mine(long since) => [.. NativeLog.LastErrors(since).Where(static line => line.StartsWith("test: ", StringComparison.Ordinal))];

    private class Recorder : ILogger
    {
        private readonly List<string> _lines = [];

        public IReadOnlyList<string> Lines
        {
            get
            {
                lock (_lines) return [.. _lines];
            }
        }

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public virtual void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            lock (_lines) _lines.Add(formatter(state, exception));
        }
    }

    private sealed class Thrower : Recorder
    {
        public override void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            throw new InvalidOperationException("a logger's fault");
    }
}
