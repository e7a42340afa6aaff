namespace NativeBigModel.Build;

/// <summary>Where things lie in the repository that this program was built from.</summary>
internal static class Repository
{
    public const string SolutionName = "NativeBigModel.sln";

    public static string Root { get; } = FindRoot();

    public static string Solution => Path.Combine(Root, SolutionName);

    public static string Artifacts => Path.Combine(Root, "artifacts");

    public static string EngineLockFile => Path.Combine(Root, "native", "llama.lock.json");

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, SolutionName))) return at.FullName;
        throw new BuildException($"{SolutionName} is in no folder above the build program: run it from a checkout with ./build.sh");
    }
}
