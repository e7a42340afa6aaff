using System.Text.RegularExpressions;

namespace NativeBigModel.Build;

/// <summary>Packages of the Debian release that this system uses, downloaded and unpacked into a folder; nothing is installed, and the system's lists stay as they are.</summary>
internal static partial class DebianPackages
{
    /// <summary>Unpacks packages into <paramref name="root"/> where it is not there yet: whole, after <paramref name="finish"/>, or not at all.</summary>
    /// <param name="root">The folder.</param>
    /// <param name="purpose">Completes the sentence that says why apt-get must be there.</param>
    /// <param name="packages">Their names; what they depend on is not followed.</param>
    /// <param name="files">Patterns of the files that are needed; null for all.</param>
    /// <param name="finish">Gets the folder that will be moved to <paramref name="root"/>, and checks and adapts it.</param>
    public static void Unpack(string root, string purpose, IEnumerable<string> packages, string[]? files, Action<string> finish)
    {
        using IDisposable turn = Turn.Wait($"{root}.lock");
        if (Directory.Exists(root)) return;
        string work = $"{root}.{Environment.ProcessId}", debs = Path.Combine(work, "debs"), unpacked = Path.Combine(work, "root");
        try
        {
            foreach (string folder in (string[])["lists/partial", "cache/archives/partial", "debs", "root"]) Directory.CreateDirectory(Path.Combine(work, folder));
            File.WriteAllText(Path.Combine(work, "sources.list"), Sources(Command.Run("apt-get", purpose, "update", "--print-uris"), purpose));
            string[] apt = ["-o", $"Dir::Etc::sourcelist={work}/sources.list", "-o", "Dir::Etc::sourceparts=/dev/null", "-o", $"Dir::State::Lists={work}/lists", "-o", $"Dir::Cache={work}/cache"];
            Command.Run("apt-get", purpose, [.. apt, "update"]);
            // apt-get downloads into the present folder.
            Command.Run("sh", purpose, ["-c", "cd \"$1\" && shift && exec apt-get \"$@\"", "sh", debs, .. apt, "download", .. packages]);
            // tar complains of patterns that a package has no file for.
            foreach (string package in Directory.GetFiles(debs))
                Command.Run("sh", purpose, ["-c", "deb=$1 to=$2; shift 2; dpkg-deb --fsys-tarfile \"$deb\" | tar -x -C \"$to\" --wildcards \"$@\" 2>/dev/null || true", "sh", package, unpacked, .. files ?? []]);
            finish(unpacked);
            Directory.Move(unpacked, root);
        }
        finally
        {
            if (Directory.Exists(work)) Directory.Delete(work, recursive: true);
        }
    }

    // The archive and release that this system uses, with all components. Updates and security have names with a hyphen.
    private static string Sources(string addresses, string purpose) => Release().Match(addresses) is { Success: true } release
        ? $"deb {release.Groups["archive"].Value} {release.Groups["suite"].Value} main contrib non-free\n"
        : throw new BuildException($"apt-get names no archive; it {purpose}");

    [GeneratedRegex("^'(?<archive>[^']*)/dists/(?<suite>[^'/-]+)/InRelease'", RegexOptions.Multiline | RegexOptions.ExplicitCapture)]
    private static partial Regex Release();
}
