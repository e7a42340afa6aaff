using System.ComponentModel;
using System.Diagnostics;

namespace NativeBigModel.Build;

/// <summary>Runs a tool of the build; its output is shown only where it failed.</summary>
internal static class Command
{
    /// <summary>Runs <paramref name="tool"/> and gives what it printed; <paramref name="purpose"/> completes the sentence that says why it must be installed.</summary>
    public static string Run(string tool, string purpose, params IEnumerable<string> arguments)
    {
        ProcessStartInfo start = new(tool, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode == 0) return output;
            Console.Error.WriteLine(output + errors.Result);
            throw new BuildException($"{tool} {start.ArgumentList.FirstOrDefault(argument => !argument.StartsWith('-'))} failed with exit code {process.ExitCode}; its output is above");
        }
        catch (Win32Exception)
        {
            throw new BuildException($"{tool} was not found on PATH: it {purpose}; install it, or build without the streaming plug-in by -p:NbmPlugin=none");
        }
    }

    /// <summary>A program's path, where it is one or is on PATH; null where there is none.</summary>
    public static string? Find(string tool) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries).Select(folder => Path.Combine(folder, tool)).FirstOrDefault(File.Exists);
}
