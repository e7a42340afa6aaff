using System.Diagnostics;
using System.Globalization;
using System.Text.Json;

namespace NativeBigModel.Bench.Contests;

/// <summary>What a contender's process left behind.</summary>
/// <param name="Result">The JSON object that it printed, or null.</param>
/// <param name="Failure">Why there is none, in one line, or nothing.</param>
/// <param name="HostPeakBytes">The most that it held of RAM; null where the system does not say.</param>
/// <param name="GpuPeakBytes">The most that the GPU held beyond what it held before; null without one.</param>
internal sealed record ChildResult(JsonElement? Result, string Failure, long? HostPeakBytes, long? GpuPeakBytes);

/// <summary>A contender in a process of its own, watched from outside in the same way as all others.</summary>
internal static class Child
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(50);

    /// <summary>Runs a command that prints one JSON object to stdout.</summary>
    /// <param name="command">Program and arguments.</param>
    /// <param name="patience">After that, it and its children are killed, and that is its failure.</param>
    /// <param name="gpu">Whether to watch the first GPU's memory.</param>
    /// <param name="cancel">Kills it too.</param>
    public static async Task<ChildResult> RunAsync(IReadOnlyList<string> command, TimeSpan patience, bool gpu, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        using var memory = gpu ? GpuMemory.Watch() : null;
        var start = new ProcessStartInfo(command[0], command.Skip(1)) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = true };
        Process process;
        try { process = Process.Start(start)!; }
        catch (System.ComponentModel.Win32Exception error) { return new(null, error.Message, null, null); }
        using (process)
        {
            process.StandardInput.Close();
            Task<string> output = process.StandardOutput.ReadToEndAsync(cancel), errors = process.StandardError.ReadToEndAsync(cancel);
            long started = Stopwatch.GetTimestamp();
            long? host = null;
            bool late = false;
            try
            {
                while (!process.HasExited)
                {
                    host = PeakResidentBytes(process.Id) ?? host;
                    if (late = Stopwatch.GetElapsedTime(started) > patience) break;
                    await Task.WhenAny(process.WaitForExitAsync(cancel), Task.Delay(s_look, cancel));
                    cancel.ThrowIfCancellationRequested();
                }
            }
            finally { if (!process.HasExited) process.Kill(entireProcessTree: true); }
            if (late) return new(null, $"not done after {patience.TotalSeconds:0} s", host, memory?.PeakBytes);
            JsonElement? result = Parse(await output);
            string failure = result is null || process.ExitCode != 0 ? Describe(process.ExitCode, await errors) : "";
            return new(failure.Length == 0 ? result : null, failure, host, memory?.PeakBytes);
        }
    }

    /// <summary>The object in what was printed; other lines may stand before it.</summary>
    internal static JsonElement? Parse(string output)
    {
        int start = output.StartsWith('{') ? 0 : output.IndexOf("\n{", StringComparison.Ordinal);
        if (start < 0) return null;
        try { return JsonDocument.Parse(output.AsMemory(start)).RootElement; }
        catch (JsonException) { return null; }
    }

    private static string Describe(int exitCode, string errors)
    {
        string? last = errors.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).LastOrDefault();
        string how = exitCode switch { 137 => "killed (137), as where memory runs out", > 128 => $"ended by signal {exitCode - 128}", 0 => "printed no result", _ => $"exit code {exitCode}" };
        return last is null ? how : $"{how}: {(last.Length > 300 ? last[^300..] : last)}";
    }

    private static long? PeakResidentBytes(int id)
    {
        if (!OperatingSystem.IsLinux()) return null;
        try
        {
            string? line = File.ReadLines($"/proc/{id}/status").FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
            return line is null ? null : long.Parse(line.AsSpan("VmHWM:".Length).Trim().TrimEnd("kB").Trim(), CultureInfo.InvariantCulture) * 1024;
        }
        catch (IOException) { return null; } // it has ended
    }
}

/// <summary>The driver's count of what the first GPU holds, read ten times a second by nvidia-smi.</summary>
internal sealed class GpuMemory : IDisposable
{
    private readonly Process _process;
    private long _first = -1, _most;

    private GpuMemory(Process process)
    {
        _process = process;
        process.OutputDataReceived += (_, line) => Add(line.Data);
        process.BeginOutputReadLine();
    }

    /// <summary>Bytes beyond what was held when watching began.</summary>
    public long? PeakBytes => Interlocked.Read(ref _first) is >= 0 and var first ? Interlocked.Read(ref _most) - first : null;

    public static GpuMemory? Watch()
    {
        try { return new(Process.Start(new ProcessStartInfo("nvidia-smi", ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0", "-lms", "100"]) { RedirectStandardOutput = true })!); }
        catch (System.ComponentModel.Win32Exception) { return null; }
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill();
        _process.Dispose();
    }

    private void Add(string? line)
    {
        if (!long.TryParse(line?.Trim(), CultureInfo.InvariantCulture, out long mebibytes)) return;
        Interlocked.CompareExchange(ref _first, mebibytes << 20, -1);
        _most = Math.Max(_most, mebibytes << 20);
    }
}
