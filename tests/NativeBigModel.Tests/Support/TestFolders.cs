namespace NativeBigModel.Tests;

/// <summary>Data of the tests: the bundled model, and the golden cases where ../shared holds them.</summary>
internal static class TestFolders
{
    // A theory without rows fails in xunit 2; this row passes where the folders are not there.
    public const string NoFolders = "(no ../shared)";

    public static string Repository { get; } = FindRepository();

    public static string Capitals { get; } = Path.Combine(Repository, "samples", "capitals-llama");

    /// <summary>The golden cases, or null where they are not there.</summary>
    public static string? Golden { get; } = Existing(Path.Combine(Path.GetDirectoryName(Repository) ?? "", "shared", "golden", "cases"));

    /// <summary>The small model that guesses for the bundled one, or null where it is not there.</summary>
    public static string? Draft { get; } = Existing(Path.Combine(Path.GetDirectoryName(Repository) ?? "", "shared", "models", "capitals-llama-draft"));

    /// <summary>A copy of a golden case, its configuration spelt in the new or in the old way.</summary>
    public static TempFolder Copy(string name, bool oldConfig = false)
    {
        TempFolder folder = new TempFolder().CopyOf(Path.Combine(Golden!, name));
        if (oldConfig) File.Copy(folder["config.v4.json"], folder["config.json"], overwrite: true);
        return folder;
    }

    private static string? Existing(string path) => Directory.Exists(path) ? path : null;

    private static string FindRepository()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "NativeBigModel.sln"))) return folder.FullName;
        }
        throw new DirectoryNotFoundException("no parent folder of the tests holds NativeBigModel.sln");
    }
}

/// <summary>A folder that is deleted afterwards.</summary>
internal sealed class TempFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("nbm-test-").FullName;

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string[] Files => [.. Directory.EnumerateFiles(Path).Select(System.IO.Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal)];

    /// <summary>Copies the files of a folder, without those that are named.</summary>
    public TempFolder CopyOf(string folder, params string[] without)
    {
        foreach (string file in Directory.EnumerateFiles(folder))
        {
            string name = System.IO.Path.GetFileName(file);
            if (!without.Contains(name)) File.WriteAllBytes(this[name], File.ReadAllBytes(file));
        }
        return this;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
