namespace NativeBigModel.Build;

/// <summary>Keeps engines in a folder, one sub-folder per kind and version. A sub-folder appears whole, by a rename, or not at all.</summary>
internal sealed class EngineFetcher(EngineLock pins, string root, IPackageSource source, TextWriter progress)
{
    /// <summary>The folder of one engine, fetched now unless it is there already. Builds that run at the same time wait for one another.</summary>
    public string Fetch(string rid, string kind)
    {
        PinnedPackage[] packages = pins.Packages(rid, kind);
        string folder = Path.Combine(root, $"{kind}-{pins.VersionOf(packages[0])}");
        if (EngineStamp.Covers(folder, packages)) return folder;

        Directory.CreateDirectory(root);
        using IDisposable turn = Turn.Wait(Path.Combine(root, ".lock"));
        if (EngineStamp.Covers(folder, packages)) return folder;
        string work = Path.Combine(root, ".work");
        Discard(work);
        try
        {
            string made = Path.Combine(work, kind);
            Directory.CreateDirectory(made);
            foreach (PinnedPackage pin in packages) Add(pin, made, work);
            EngineStamp.Write(made, packages);
            Discard(folder);
            Directory.Move(made, folder);
        }
        finally
        {
            Discard(work);
        }
        return folder;
    }

    private void Add(PinnedPackage pin, string into, string work)
    {
        progress.WriteLine($"engine: fetching {pin.Package} {pins.VersionOf(pin)}");
        string download = Directory.CreateDirectory(Path.Combine(work, "download")).FullName;
        string tarball = source.Download(pin.Package, pins.VersionOf(pin), download);
        Npm.Verify(tarball, pin);
        try
        {
            Tarball.Unpack(tarball, pin, into);
        }
        catch (Exception cause) when (cause is InvalidDataException or IOException)
        {
            throw new BuildException($"{pin.Package}: could not be unpacked into {into}: {cause.Message}", cause);
        }
        Discard(download);
    }

    private static void Discard(string folder)
    {
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
    }
}
