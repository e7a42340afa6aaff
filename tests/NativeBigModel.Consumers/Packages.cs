using System.Diagnostics;
using System.IO.Compression;
using System.Reflection;
using System.Text.Json;
using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

[CollectionDefinition(Name)]
public sealed class PackagesGroup : ICollectionFixture<Packages>
{
    public const string Name = "packages";
}

/// <summary>
/// The packages as a stranger has them: made once, or by somebody else before, in a folder outside the repository, with a package cache of their own. Their dependencies come from the
/// cache of this repository's restore, which is read as a source; there is no other.
/// </summary>
public sealed class Packages : IDisposable
{
    private const string WindowsRid = "win-x64";

    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(10);

    /// <summary>The folder of packages that were made before; null where the tests make their own.</summary>
    public static string? Given { get; } = Environment.GetEnvironmentVariable(ConsumersVerb.Variable) is { Length: > 0 } folder ? folder : null;

    /// <summary>How programs for Windows are run here, where there are packages for it; null where they are not.</summary>
    internal static Emulator? Windows { get; } = Given is null ? CrossCompiler.For(WindowsRid, Repository.Artifacts)?.Emulator
        : StreamingPlatforms(Given).Contains(WindowsRid) ? Emulator.For(CrossTarget.All.Single(static target => target.Rid == WindowsRid)) : null;

    /// <summary>The platforms for which there are packages in these tests.</summary>
    public static string[] Rids { get; } = Given is not null ? StreamingPlatforms(Given) : Windows is null ? [Platform.Rid] : [Platform.Rid, WindowsRid];

    public Packages()
    {
        if (Given is null) PackVerb.Make(Feed, ConsumersVerb.Packages, Rids);
        else ConsumersVerb.Require(Given);
        File.WriteAllText(Path.Combine(Root, "NuGet.config"), $"""
            <configuration>
              <packageSources>
                <clear />
                <add key="packages" value="{Feed}" />
                <add key="restored" value="{CacheOfTheRepository}" />
              </packageSources>
            </configuration>
            """);
        // The folder's parents may belong to anyone.
        File.WriteAllText(Path.Combine(Root, "Directory.Build.props"), "<Project />");
        File.WriteAllText(Path.Combine(Root, "Directory.Build.targets"), "<Project />");
        File.WriteAllText(Path.Combine(Root, "Directory.Packages.props"), "<Project />");
    }

    public string Root { get; } = Directory.CreateTempSubdirectory("nbm-consumers-").FullName;

    public string Feed => Given ?? Path.Combine(Root, "packages");

    public static string Model { get; } = Path.Combine(Repository.Root, "samples", "capitals-llama");

    public const string Prompt = "What is the capital of United States?";

    /// <summary>What transformers answers, without the end token's text.</summary>
    public static string Answer { get; } = ReadAnswer();

    private static string CacheOfTheRepository => typeof(Packages).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(static data => data.Key == "PackageRoot").Value!;

    public void Dispose() => Directory.Delete(Root, recursive: true);

    /// <summary>A new copy of an application's sources, outside the repository.</summary>
    public string App(string name, string folder)
    {
        string target = Directory.CreateDirectory(Path.Combine(Root, folder)).FullName;
        foreach (string file in Directory.EnumerateFiles(Path.Combine(Repository.Root, "tests", "NativeBigModel.Consumers", "Apps", name))) File.Copy(file, Path.Combine(target, Path.GetFileName(file)));
        return target;
    }

    public sealed record Result(int ExitCode, string Output, string Errors);

    /// <summary>Runs dotnet in a folder; fails the test where it does not succeed.</summary>
    public string Dotnet(string folder, params string[] arguments)
    {
        Result result = Run("dotnet", folder, arguments);
        Assert.True(result.ExitCode == 0, $"dotnet {string.Join(' ', arguments)}: {result.Errors}{result.Output[..Math.Min(result.Output.Length, 2000)]}");
        return result.Output;
    }

    public Result Run(string file, string folder, params string[] arguments) => Finish(How(file, folder, arguments));

    /// <summary>Runs a program to its end.</summary>
    public static Result Finish(ProcessStartInfo start)
    {
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(s_patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"{start.FileName} {string.Join(' ', start.ArgumentList)}: not done after {s_patience}");
        }
        return new Result(process.ExitCode, output.Result, errors.Result);
    }

    public Process Start(string file, string folder, params string[] arguments) => Process.Start(How(file, folder, arguments))!;

    private ProcessStartInfo How(string file, string folder, string[] arguments)
    {
        ProcessStartInfo start = file.EndsWith(".exe", StringComparison.Ordinal) && Windows is { } windows ? windows.Start(file, arguments, []) : new(file, arguments);
        start.WorkingDirectory = folder;
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        // What the test's own build set is not a stranger's.
        foreach (string name in start.Environment.Keys.Where(static name => name.StartsWith("MSBuild", StringComparison.OrdinalIgnoreCase) || name.StartsWith("NBM_", StringComparison.Ordinal) || name is "DOTNET_HOST_PATH").ToArray())
            start.Environment.Remove(name);
        start.Environment["NUGET_PACKAGES"] = Path.Combine(Root, "cache");
        start.Environment["DOTNET_CLI_HOME"] = Path.Combine(Root, "home");
        start.Environment["DOTNET_BUNDLE_EXTRACT_BASE_DIR"] = Path.Combine(Root, "extracted");
        start.Environment["DOTNET_NOLOGO"] = start.Environment["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1";
        start.Environment["NbmPackage"] = "NativeBigModel.Backend.Cpu";
        start.Environment["NbmVersion"] = Repository.Version;
        return start;
    }

    // Those for which the package has the plug-in; none where it is not there, which the constructor says.
    private static string[] StreamingPlatforms(string folder)
    {
        if (!File.Exists(ConsumersVerb.FileOf("NativeBigModel.Backend.Cpu", folder))) return [];
        using ZipArchive package = ZipFile.OpenRead(ConsumersVerb.FileOf("NativeBigModel.Backend.Cpu", folder));
        return [.. package.Entries.Select(static entry => entry.FullName.Split('/')).Where(static path => path is ["runtimes", string rid, "native", string file] && file == Backend.LibraryFile("nbm", rid))
            .Select(static path => path[1]).Order(StringComparer.Ordinal)];
    }

    private static string ReadAnswer()
    {
        using JsonDocument reference = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Model, "reference.json")));
        string text = reference.RootElement.GetProperty("greedy").EnumerateArray().Single(static entry => entry.TryGetProperty("prompt", out JsonElement prompt) && prompt.GetString() == Prompt).GetProperty("text").GetString()!;
        return text.Replace("<|end|>", "", StringComparison.Ordinal);
    }
}
