namespace NativeBigModel.Build;

/// <summary>The part of the tests that builds applications from the packages as a user would. It packs first, or takes packages that were made before.</summary>
internal static class ConsumersVerb
{
    public const string Usage = "test the packages in applications outside the repository: [--packages DIR], those made before, with nothing but the .NET SDK; other arguments go to dotnet test";

    /// <summary>The variable by which the tests learn of <c>--packages</c>.</summary>
    public const string Variable = "NBM_PACKAGES";

    /// <summary>The packages that applications here are made of; the tool has another for each platform.</summary>
    public static string[] Packages { get; } = ["NativeBigModel", "NativeBigModel.Backend.Cpu", "NativeBigModel.Server", "NativeBigModel.Tool"];

    public static int Run(string[] arguments)
    {
        int at = Array.IndexOf(arguments, "--packages");
        if (at >= 0)
        {
            if (at + 1 == arguments.Length) throw new BuildException($"consumers: '--packages' names no folder; usage: consumers, {Usage}");
            string folder = Path.GetFullPath(arguments[at + 1]);
            Require(folder);
            Environment.SetEnvironmentVariable(Variable, folder);
            arguments = [.. arguments[..at], .. arguments[(at + 2)..]];
            // What the packages depend on is read from the cache of these restores; without --packages packing does them.
            foreach (string project in Packages.Select(static package => Path.Combine(Repository.Root, "src", package)).Where(Directory.Exists))
                if (Dotnet.Run("restore", project) is not 0 and int failed) return failed;
        }
        return Dotnet.Run(["test", Path.Combine(Repository.Root, "tests", "NativeBigModel.Consumers"), .. arguments]);
    }

    /// <summary>A package's file.</summary>
    public static string FileOf(string package, string folder) => Path.Combine(folder, $"{package}.{Repository.Version}.nupkg");

    /// <exception cref="BuildException">A package that applications here are made of is not in the folder.</exception>
    public static void Require(string folder)
    {
        foreach (string file in Packages.Append($"NativeBigModel.Tool.{Platform.Rid}").Select(package => FileOf(package, folder)).Where(static file => !File.Exists(file)))
            throw new BuildException($"consumers: {folder} holds no {Path.GetFileName(file)}; ./build.sh pack makes it");
    }
}
