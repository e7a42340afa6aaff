namespace NativeBigModel.Build;

/// <summary>Lays out a native package in a folder, as the package will hold it: runtimes/RID/native, symbols/RID, licences, README, notices and the list of materials.</summary>
internal sealed class Stage(EngineLock pins, string root)
{
    private const string Streams = "streams layers";
    private const string StreamsPlainly = "streams layers; its part for CUDA is not in this build, so that hybrid plans are slower on NVIDIA's GPUs";
    private const string DoesNotStream = "no streaming plug-in: layers run on the GPU or the CPU, and none are streamed";

    /// <summary>Lays out one package anew, for all its platforms or some; its folder.</summary>
    public string Lay(Backend backend, IReadOnlyCollection<string> rids)
    {
        string folder = Path.Combine(root, backend.Package);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        Directory.CreateDirectory(Path.Combine(folder, "licenses"));
        List<SpdxFile> files = [];
        List<string> lines = [];
        foreach (string rid in backend.Platforms(pins, rids))
        {
            files.AddRange(AddEngine(backend, rid, folder));
            SpdxFile[] plugins = backend.Library is null ? [.. AddPlugins(rid, folder)] : [];
            files.AddRange(plugins);
            lines.Add($"| {rid} | {pins.EngineOf(rid, backend.Kind)} | {(backend.Library is null ? Streaming(plugins) : "")} |");
        }
        string readme = Path.Combine(Repository.Packaging, backend.Package, "README.md");
        File.WriteAllText(Path.Combine(folder, "README.md"), $"{File.ReadAllText(readme)}\nInside:\n\n| platform | engine | |\n|---|---|---|\n{string.Join('\n', lines)}\n");
        File.Copy(Path.Combine(Repository.Root, "THIRD-PARTY-NOTICES.md"), Path.Combine(folder, "THIRD-PARTY-NOTICES.md"));
        File.Copy(Path.Combine(Repository.Root, "LICENSE"), Path.Combine(folder, "licenses", "LICENSE.NativeBigModel.txt"));
        Spdx.Write(Path.Combine(folder, "_manifest", "spdx_2.2", "manifest.spdx.json"), backend.Package, Repository.Version, Repository.CommitTime, files);
        return folder;
    }

    /// <summary>Lays out, in a folder of the platform's name, what a program carries of packages that were laid out: the platform's libraries, licences and notices. The folder that this one is in.</summary>
    public string Carry(string program, IEnumerable<Backend> backends, string rid)
    {
        string folder = Path.Combine(root, program, rid);
        if (Directory.Exists(folder)) Directory.Delete(folder, recursive: true);
        foreach (Backend backend in backends)
        {
            string from = Path.Combine(root, backend.Package);
            foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(from, file).Replace('\\', '/')))
            {
                string[] parts = file.Split('/');
                if (parts[0] is not ("runtimes" or "licenses" or "THIRD-PARTY-NOTICES.md") || (parts[0] is "runtimes" && parts[1] != rid)) continue;
                Directory.CreateDirectory(Path.GetDirectoryName(Path.Combine(folder, file))!);
                File.Copy(Path.Combine(from, file), Path.Combine(folder, file), overwrite: true);
            }
        }
        return Path.Combine(root, program);
    }

    private IEnumerable<SpdxFile> AddEngine(Backend backend, string rid, string folder)
    {
        string engine = new EngineFetcher(pins, Path.Combine(Repository.Artifacts, "engine", rid), new Npm(), Console.Out).Fetch(rid, backend.Kind);
        string[] files = [.. EngineStamp.Read(engine)!.Files.Select(static file => file.Path)];
        foreach (string license in files.Where(static file => file.StartsWith("LICENSE", StringComparison.Ordinal))) File.Copy(Path.Combine(engine, license), Path.Combine(folder, "licenses", license), overwrite: true);
        PinnedPackage[] origins = pins.Packages(rid, backend.Kind);
        foreach ((string path, string name) in backend.Select(files, rid))
        {
            // The first package of a kind is the engine; the second adds what is in a folder of its own.
            PinnedPackage origin = origins[path.Contains('/') ? ^1 : 0];
            yield return Add(Path.Combine(engine, path), Native(rid, name), folder, new SpdxOrigin(origin.Package, pins.VersionOf(origin), origin.Integrity, "MIT"), Licenses.Of(name, rid));
        }
    }

    private static IEnumerable<SpdxFile> AddPlugins(string rid, string folder)
    {
        string built = Path.Combine(Repository.Artifacts, "plugin", rid);
        if (!Directory.Exists(built)) yield break;
        foreach (string file in Directory.EnumerateFiles(built).Where(Backend.IsLibrary).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(file), symbols = Backend.SymbolsFile(name);
            License license = Licenses.Of(name, rid);
            SpdxOrigin here = new("NativeBigModel", Repository.Version, null, "MIT");
            yield return Add(file, Native(rid, name), folder, here, HoldsCuda(file) ? license.WithCudaRuntime() : license);
            // Not beside the library: every application would get a copy.
            yield return Add(Path.Combine(built, symbols), $"symbols/{rid}/{symbols}", folder, here, license);
        }
    }

    private static string Streaming(SpdxFile[] plugins) => plugins.FirstOrDefault(static file => Path.GetFileNameWithoutExtension(file.Path) is "libnbm" or "nbm") is { } plugin
        ? HoldsCuda(plugin.File) ? Streams : StreamsPlainly
        : DoesNotStream;

    // The CUDA runtime that is linked into the plug-in looks for the driver under this name.
    private static bool HoldsCuda(string file) => File.ReadAllBytes(file).AsSpan().IndexOf("libcuda.so.1"u8) >= 0;

    private static string Native(string rid, string name) => $"runtimes/{rid}/native/{name}";

    private static SpdxFile Add(string file, string inside, string folder, SpdxOrigin origin, License license)
    {
        string target = Path.Combine(folder, inside);
        Directory.CreateDirectory(Path.GetDirectoryName(target)!);
        File.Copy(file, target);
        return new SpdxFile(inside, target, origin, license);
    }
}
