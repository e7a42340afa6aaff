using System.Diagnostics;

namespace NativeBigModel.Build;

/// <summary>Runs the .NET command line with this console's input and output.</summary>
internal static class Dotnet
{
    /// <summary>The exit code of <c>dotnet</c> with <paramref name="arguments"/>, run in the repository's root.</summary>
    public static int Run(params IEnumerable<string> arguments)
    {
        string host = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") is { Length: > 0 } path ? path : "dotnet";
        using Process process = Process.Start(new ProcessStartInfo(host, arguments) { WorkingDirectory = Repository.Root })!;
        process.WaitForExit();
        return process.ExitCode;
    }
}
