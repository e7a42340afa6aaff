using System.Diagnostics;
using System.Security.Cryptography;
using System.Text.Json;

namespace NativeBigModel.Build;

/// <summary>Where a pinned tarball comes from.</summary>
internal interface IPackageSource
{
    /// <summary>Downloads one package, and none of its dependencies, into <paramref name="folder"/>; returns the tarball's path.</summary>
    string Download(string package, string version, string folder);
}

/// <summary>The npm command line: the registry, the proxy and the credentials are those the user has set up for it.</summary>
internal sealed class Npm : IPackageSource
{
    private const string Prefix = "sha512-";

    public static bool IsIntegrity(string text)
    {
        Span<byte> hash = stackalloc byte[SHA512.HashSizeInBytes];
        return text.StartsWith(Prefix, StringComparison.Ordinal)
            && Convert.TryFromBase64String(text[Prefix.Length..], hash, out int written) && written == hash.Length;
    }

    /// <summary>Refuses <paramref name="file"/> unless its bytes have the pinned hash.</summary>
    public static void Verify(string file, PinnedPackage pin)
    {
        using FileStream stream = File.OpenRead(file);
        string actual = Prefix + Convert.ToBase64String(SHA512.HashData(stream));
        if (actual != pin.Integrity)
            throw new BuildException($"{pin.Package}: the download does not match native/llama.lock.json: pinned {pin.Integrity}, got {actual}; nothing was unpacked");
    }

    public string Download(string package, string version, string folder)
    {
        ProcessStartInfo start = new(Find(), ["pack", $"{package}@{version}", "--pack-destination", folder, "--json"])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        using Process process = Process.Start(start)!;
        Task<string> errors = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        if (process.ExitCode != 0)
            throw new BuildException($"npm could not fetch {package}@{version}: {Reason(output, errors.Result)}; check the network and npm's registry setting, then build again");
        return Directory.GetFiles(folder, "*.tgz") is [string tarball]
            ? tarball
            : throw new BuildException($"npm pack {package}@{version} succeeded and left no tarball in {folder}");
    }

    /// <summary>npm's own words for a failure: the summary of its JSON, or else its last line that says something.</summary>
    public static string Reason(string output, string errors)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(output);
            JsonElement error = document.RootElement.GetProperty("error");
            return $"{error.GetProperty("code")}: {error.GetProperty("summary").GetString()?.ReplaceLineEndings(" ")}";
        }
        catch (Exception shape) when (shape is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            string? last = errors.Split('\n', StringSplitOptions.TrimEntries)
                .LastOrDefault(static line => line.Length > "npm error".Length && !line.Contains("complete log", StringComparison.Ordinal));
            return last ?? "npm gave no reason";
        }
    }

    private static string Find()
    {
        string name = OperatingSystem.IsWindows() ? "npm.cmd" : "npm";
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries))
            if (Path.Combine(folder, name) is string path && File.Exists(path)) return path;
        throw new BuildException("npm was not found on PATH: install Node.js 20 or later (the engine comes as npm packages), or build without an engine by -p:NbmEngine=none");
    }
}
