using System.Diagnostics;
using System.Text;

namespace NativeBigModel.Tests;

/// <summary>A test that needs a terminal.</summary>
internal sealed class TerminalFactAttribute : FactAttribute
{
    public TerminalFactAttribute()
    {
        if (!File.Exists("/usr/bin/script")) Skip = "util-linux's script, which makes the terminal, is not installed";
    }
}

/// <summary>The command-line tool in a terminal of its own, which util-linux's script makes. What it shows is text in the order in which it came.</summary>
internal sealed class Pty : IDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(120);

    private readonly Process _process;
    private readonly TempFolder _home = new();
    private readonly StringBuilder _shown = new();
    private readonly SemaphoreSlim _more = new(0);
    private int _read;

    private Pty(string[] arguments)
    {
        var start = new ProcessStartInfo("script") { RedirectStandardInput = true, RedirectStandardOutput = true, StandardInputEncoding = new UTF8Encoding(false), StandardOutputEncoding = Encoding.UTF8 };
        start.Environment["NBM_CHAT_HISTORY"] = _home["history"];
        start.Environment["TERM"] = "xterm-256color";
        start.ArgumentList.Add("-qefc");
        // Tests that run in the background have Ctrl-C ignored, and so would everything that they start.
        start.ArgumentList.Add($"stty cols 100 rows 30; exec env --default-signal=INT '{Tool.Host}' '{Path.Combine(AppContext.BaseDirectory, "nbm.dll")}' {string.Join(' ', arguments.Select(argument => $"'{argument}'"))}");
        start.ArgumentList.Add("/dev/null");
        _process = Process.Start(start)!;
        _ = ReadAsync();
    }

    /// <summary>Starts the tool.</summary>
    public static Pty Start(params string[] arguments) => new(arguments);

    public async Task Type(string keys)
    {
        await _process.StandardInput.WriteAsync(keys);
        await _process.StandardInput.FlushAsync();
    }

    /// <summary>Waits until a text is shown, after what was expected before.</summary>
    public async Task Expect(string text)
    {
        using var patience = new CancellationTokenSource(s_patience);
        while (true)
        {
            lock (_shown)
            {
                int place = _shown.ToString().IndexOf(text, _read, StringComparison.Ordinal);
                if (place >= 0)
                {
                    _read = place + text.Length;
                    return;
                }
            }
            try { await _more.WaitAsync(patience.Token); }
            catch (OperationCanceledException) { Assert.Fail($"'{text}' did not come; what did: {_shown.ToString(_read, _shown.Length - _read)}"); }
        }
    }

    public async Task<int> ExitCode()
    {
        using var patience = new CancellationTokenSource(s_patience);
        await _process.WaitForExitAsync(patience.Token);
        return _process.ExitCode;
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
        _home.Dispose();
    }

    private async Task ReadAsync()
    {
        char[] buffer = new char[4096];
        while (await _process.StandardOutput.ReadAsync(buffer) is > 0 and var count)
        {
            lock (_shown) _shown.Append(buffer, 0, count);
            _more.Release();
        }
    }
}
