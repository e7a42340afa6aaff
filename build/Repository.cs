using System.Globalization;
using System.Xml.Linq;

namespace NativeBigModel.Build;

/// <summary>Where things lie in the repository that this program was built from.</summary>
internal static class Repository
{
    public const string SolutionName = "NativeBigModel.sln";

    public static string Root { get; } = FindRoot();

    public static string Solution => Path.Combine(Root, SolutionName);

    public static string Artifacts => Path.Combine(Root, "artifacts");

    public static string Packaging => Path.Combine(Root, "packaging");

    /// <summary>The version of every package.</summary>
    public static string Version => XDocument.Load(Path.Combine(Root, "Directory.Build.props")).Descendants("Version").Single().Value;

    /// <summary>When the commit that is checked out was made; in a copy that is no checkout, a fixed time.</summary>
    public static DateTimeOffset CommitTime
    {
        get
        {
            try
            {
                return DateTimeOffset.FromUnixTimeSeconds(long.Parse(Command.Run("git", "tells the time of the commit", "-C", Root, "log", "-1", "--format=%ct"), CultureInfo.InvariantCulture));
            }
            catch (BuildException)
            {
                return new DateTimeOffset(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);
            }
        }
    }

    public static string EngineLockFile => Path.Combine(Root, "native", "llama.lock.json");

    private static string FindRoot()
    {
        for (DirectoryInfo? at = new(AppContext.BaseDirectory); at is not null; at = at.Parent)
            if (File.Exists(Path.Combine(at.FullName, SolutionName))) return at.FullName;
        throw new BuildException($"{SolutionName} is in no folder above the build program: run it from a checkout with ./build.sh");
    }
}
