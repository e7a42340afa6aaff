namespace NativeBigModel.Build;

/// <summary>Tests the solution, and the native code of the plug-in under sanitizers. The last line printed is <c>N passed, N failed</c>; the exit code is 0 only when something ran and nothing failed.</summary>
internal static class TestVerb
{
    public static int Run(string[] arguments)
    {
        string results = Path.Combine(Repository.Artifacts, "test-results");
        if (Directory.Exists(results)) Directory.Delete(results, recursive: true);
        int exit = Dotnet.Run(["test", Repository.Solution, "--logger", "trx", "--results-directory", results, .. arguments]);
        TestCounts counts = TestCounts.Read(results);
        if (exit != 0 && counts.Failed == 0)
        {
            // A crash of the test host leaves no failed test behind: the run itself is what failed.
            Console.WriteLine($"the tests did not run to their end: dotnet test gave exit code {exit}");
            counts = counts with { Failed = 1 };
        }
        // The chat library takes minutes to compile: plugin --sanitize tests it as well.
        counts += PluginVerb.TestPlugin();
        Console.WriteLine(counts);
        return exit != 0 ? exit : counts.Failed > 0 || counts.Passed == 0 ? 1 : 0;
    }
}
