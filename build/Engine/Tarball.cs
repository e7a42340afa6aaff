using System.Formats.Tar;
using System.IO.Compression;

namespace NativeBigModel.Build;

/// <summary>Unpacks the few files of an npm tarball that the engine needs. A tarball is not trusted: an entry that is not a plain file inside its own folder is refused.</summary>
internal static class Tarball
{
    private const string Top = "package/";

    private const UnixFileMode LibraryMode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute |
        UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private const UnixFileMode TextMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>Unpacks the libraries and sources under the pin's folder, keeping sub-folders, and its licenses as <c>LICENSE.PACKAGE.txt</c>.</summary>
    public static void Unpack(string tarball, PinnedPackage pin, string into)
    {
        using GZipStream gzip = new(File.OpenRead(tarball), CompressionMode.Decompress);
        using TarReader reader = new(gzip);
        int found = 0;
        while (reader.GetNextEntry() is { } entry)
        {
            if (entry.EntryType is TarEntryType.Directory or TarEntryType.GlobalExtendedAttributes) continue;
            if (entry.EntryType is not (TarEntryType.RegularFile or TarEntryType.V7RegularFile))
                throw new BuildException($"{pin.Package}: entry '{entry.Name}' is a {entry.EntryType}; only plain files are unpacked");
            if (!entry.Name.StartsWith(Top, StringComparison.Ordinal) || !StaysInside(entry.Name))
                throw new BuildException($"{pin.Package}: entry '{entry.Name}' leaves the package");
            if (Target(entry.Name[Top.Length..], pin) is not { } target) continue;
            bool wanted = IsWanted(target);
            if (wanted) found++;
            Write(entry, Path.Combine(into, target), wanted ? LibraryMode : TextMode);
        }
        if (found == 0) throw new BuildException($"{pin.Package}: there is no library under '{pin.Folder}'");
    }

    /// <summary>Whether a relative path names something below where it starts.</summary>
    public static bool StaysInside(string path) =>
        path.Length > 0 && !path.Contains('\\') && !path.Contains(':') && !path.Contains('\0')
        && path.Split('/').All(static part => part is not ("" or "." or ".."));

    private static string? Target(string name, PinnedPackage pin)
    {
        if (pin.Licenses.Contains(name)) return $"{name}.{pin.Package.Split('/')[^1]}.txt";
        string folder = pin.Folder + "/";
        return name.StartsWith(folder, StringComparison.Ordinal) && IsWanted(name) ? name[folder.Length..] : null;
    }

    // Libraries, and the git bundle with the sources.
    private static bool IsWanted(string name) => Path.GetExtension(name) is ".so" or ".dll" or ".dylib" or ".bundle";

    private static void Write(TarEntry entry, string path, UnixFileMode mode)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        using (FileStream file = new(path, FileMode.CreateNew)) entry.DataStream?.CopyTo(file);
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, mode);
    }
}
