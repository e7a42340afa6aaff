using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>A console application, by every way in which .NET runs or publishes one.</summary>
[Collection(PackagesGroup.Name)]
public sealed class ConsoleAppTests(Packages packages)
{
    [Fact]
    public void It_runs_from_its_folder() => Assert.Equal(Packages.Answer, packages.Dotnet(packages.App("Console", "run"), "run", "--", Packages.Model, Packages.Prompt));

    [Theory]
    [InlineData("portable", "--no-self-contained", "-p:UseAppHost=false")]
    [InlineData("platform", "--no-self-contained", "-r RID")]
    [InlineData("trimmed", "--self-contained", "-r RID", "-p:PublishTrimmed=true")]
    [InlineData("single", "--self-contained", "-r RID", "-p:PublishSingleFile=true")]
    [InlineData("single-whole", "--no-self-contained", "-r RID", "-p:PublishSingleFile=true", "-p:IncludeNativeLibrariesForSelfExtract=true")]
    public void It_runs_where_it_is_published(string name, params string[] options) => Publish(name, options);

    [LinkerFact]
    public void It_runs_compiled_ahead_of_time() => Publish("native", "-r RID", "-p:PublishAot=true", "-p:CppCompilerAndLinker=gcc");

    /// <summary>Not Windows itself, but its programming interface.</summary>
    [WindowsFact]
    public void It_runs_on_Windows_as_far_as_Wine_is_one()
    {
        string app = packages.App("Console", "windows");
        packages.Dotnet(app, "publish", "-o", "out", "-r", "win-x64", "--self-contained");
        Packages.Result result = packages.Run(Path.Combine(app, "out", "Console.exe"), packages.Root, Packages.Model, Packages.Prompt);
        Assert.True(result.ExitCode == 0, result.Errors);
        Assert.Equal(Packages.Answer, result.Output);
    }

    [Fact]
    public void Without_an_engine_the_error_names_the_packages_that_bring_one()
    {
        string app = packages.App("Console", "managed");
        packages.Dotnet(app, "build", "-o", "out", "-p:NbmPackage=NativeBigModel");
        Packages.Result result = packages.Run("dotnet", packages.Root, Path.Combine(app, "out", "Console.dll"), Packages.Model, Packages.Prompt);
        Assert.Equal(5, result.ExitCode);
        Assert.StartsWith("EngineException: no llama.cpp ", result.Errors, StringComparison.Ordinal);
        Assert.Contains("add the package NativeBigModel.Backend.Cpu, .Cuda13, .Cuda12 or .Vulkan", result.Errors, StringComparison.Ordinal);
        Assert.Single(result.Errors.TrimEnd().Split('\n'));
    }

    private void Publish(string name, params string[] options)
    {
        string[] arguments = [.. options.SelectMany(static option => option.Split(' ')).Select(static part => part == "RID" ? Platform.Rid : part)];
        string app = packages.App("Console", name), published = Path.Combine(app, "out");
        packages.Dotnet(app, ["publish", "-o", "out", .. arguments]);
        string program = Path.Combine(published, OperatingSystem.IsWindows() ? "Console.exe" : "Console");
        Packages.Result result = name == "portable"
            ? packages.Run("dotnet", published, "Console.dll", Packages.Model, Packages.Prompt)
            : packages.Run(program, packages.Root, Packages.Model, Packages.Prompt);
        Assert.Equal((0, Packages.Answer), (result.ExitCode, result.Output));
        if (name == "single-whole") Assert.DoesNotContain(Directory.EnumerateFiles(published), Backend.IsLibrary);
    }
}
