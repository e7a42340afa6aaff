using System.Diagnostics;
using System.Text.RegularExpressions;
using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

public sealed class ScriptTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nbm-trx-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Both_scripts_make_the_same_one_call()
    {
        string[] calls = [.. new[] { "build.sh", "build.ps1" }.Select(name => Regex.Match(File.ReadAllText(Path.Combine(Repository.Root, name)), "dotnet [^\"@]*").Value.Trim())];
        Assert.Equal(["dotnet run --project build --", "dotnet run --project build --"], calls);
    }

    [Fact]
    public async Task An_unknown_verb_is_answered_with_those_there_are()
    {
        Tool.Result result = await Tool.Run("nbm-build.dll", ["nonsense"]);
        Assert.Equal(2, result.ExitCode);
        foreach (string verb in (string[])["restore", "build", "test", "bench", "pack", "consumers"]) Assert.Matches($@"(?m)^  {verb} +\w", result.Errors);
    }

    [Fact]
    public async Task Packages_to_test_are_looked_for_before_anything_is_built()
    {
        foreach (string package in ConsumersVerb.Packages) File.WriteAllText(ConsumersVerb.FileOf(package, _folder), "");
        Tool.Result result = await Tool.Run("nbm-build.dll", ["consumers", "--packages", _folder]);
        Assert.Equal((1, "", $"nbm-build: consumers: {_folder} holds no NativeBigModel.Tool.{Platform.Rid}.{Repository.Version}.nupkg; ./build.sh pack makes it\n"), (result.ExitCode, result.Output, result.Errors));
        result = await Tool.Run("nbm-build.dll", ["consumers", "--packages"]);
        Assert.Equal((1, ""), (result.ExitCode, result.Output));
        Assert.StartsWith("nbm-build: consumers: '--packages' names no folder; usage: consumers, ", result.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_first_command_of_README_is_understood_by_dotnet_run()
    {
        Match command = Regex.Match(File.ReadAllText(Path.Combine(Repository.Root, "README.md")), @"(?m)^dotnet run --project (\S+) -- demo$");
        Assert.True(command.Success);
        string configuration = AppContext.BaseDirectory.Contains("/Release/", StringComparison.Ordinal) ? "Release" : "Debug";
        // What is built already; dotnet run reads projects in a way of its own.
        ProcessStartInfo start = new(Tool.Host, ["run", "--no-build", "--configuration", configuration, "--project", Path.Combine(Repository.Root, command.Groups[1].Value), "--", "demo", "--help"])
        {
            RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using Process run = Process.Start(start)!;
        Task<string> errors = run.StandardError.ReadToEndAsync();
        string output = await run.StandardOutput.ReadToEndAsync();
        await run.WaitForExitAsync();
        Assert.True(run.ExitCode == 0, output + await errors);
        Assert.Contains("nbm demo", output, StringComparison.Ordinal);
    }

    [Fact]
    public void Counts_are_summed_over_result_files()
    {
        foreach (int i in new[] { 1, 2 })
            File.WriteAllText(Path.Combine(_folder, $"{i}.trx"),
                """<TestRun xmlns="urn:x"><ResultSummary><Counters total="7" executed="6" passed="4" failed="1" error="1" notExecuted="0"/></ResultSummary></TestRun>""");
        Assert.Equal("8 passed, 4 failed, 2 skipped", TestCounts.Read(_folder).ToString());
        Assert.Equal("0 passed, 0 failed", TestCounts.Read(Path.Combine(_folder, "absent")).ToString());
    }
}
