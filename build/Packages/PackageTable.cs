using System.IO.Compression;
using Spectre.Console;

namespace NativeBigModel.Build;

/// <summary>What the packages of a folder hold, in a table: files, native libraries, and sizes.</summary>
internal static class PackageTable
{
    // nuget.org refuses larger ones.
    private const long LargestPackage = 250_000_000;

    /// <exception cref="BuildException">A package is larger than may be published, or holds two native files of one name for one platform.</exception>
    public static void Print(string folder)
    {
        Table table = new() { Border = TableBorder.Rounded };
        foreach (string column in (string[])["package", "files", "native", "platforms", "size", "unpacked"]) table.AddColumn(new TableColumn(column) { Alignment = column is "package" or "platforms" ? Justify.Left : Justify.Right });
        foreach (string path in Directory.EnumerateFiles(folder).Where(static file => Path.GetExtension(file) is ".nupkg" or ".snupkg").Order(StringComparer.Ordinal))
        {
            using ZipArchive archive = ZipFile.OpenRead(path);
            ZipArchiveEntry[] natives = [.. archive.Entries.Where(static entry => entry.FullName.Contains("runtimes/", StringComparison.Ordinal))];
            string[] rids = [.. natives.Select(static entry => entry.FullName[(entry.FullName.IndexOf("runtimes/", StringComparison.Ordinal) + 9)..].Split('/')[0]).Distinct()];
            long size = new FileInfo(path).Length;
            if (size > LargestPackage) throw new BuildException($"{Path.GetFileName(path)} has {size} bytes, and a package may have {LargestPackage}");
            table.AddRow(Path.GetFileName(path), $"{archive.Entries.Count}", natives.Length == 0 ? "" : $"{natives.Length}", string.Join(", ", rids), Megabytes(size), Megabytes(archive.Entries.Sum(static entry => entry.Length)));
        }
        IAnsiConsole console = AnsiConsole.Console;
        if (Console.IsOutputRedirected) console.Profile.Width = 140;
        console.Write(table);
    }

    private static string Megabytes(long bytes) => FormattableString.Invariant($"{bytes / 1e6:0.0} MB");
}
