namespace NativeBigModel.Build;

/// <summary>
/// Makes every NuGet package: the projects of src/ that are packages, and those of packaging/ around native libraries. Times inside are the commit's, so that the same
/// commit gives the same bytes.
/// </summary>
internal static class PackVerb
{
    public const string Usage = "make the NuGet packages: [--into DIR] [--only PACKAGE,PACKAGE] [--rid RID,RID]";

    public static int Run(string[] arguments)
    {
        string into = Path.Combine(Repository.Artifacts, "packages");
        string[] only = [];
        string[] rids = [];
        for (int i = 0; i < arguments.Length; i += 2)
        {
            if (arguments[i] is not ("--into" or "--only" or "--rid") || i + 1 == arguments.Length) throw new BuildException($"pack: '{arguments[i]}' is not understood; usage: pack, {Usage}");
            if (arguments[i] == "--into") into = Path.GetFullPath(arguments[i + 1]);
            else if (arguments[i] == "--only") only = arguments[i + 1].Split(',');
            else rids = arguments[i + 1].Split(',');
        }
        Make(into, only, rids);
        PackageTable.Print(into);
        return 0;
    }

    /// <summary>Makes the packages, all or the named ones, in a folder that holds nothing else afterwards.</summary>
    /// <param name="into">The folder.</param>
    /// <param name="only">Names; none for all.</param>
    /// <param name="rids">The platforms whose native libraries are taken; none for all.</param>
    public static void Make(string into, IReadOnlyCollection<string> only, IReadOnlyCollection<string> rids)
    {
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        Job[] jobs = [.. Jobs().Where(job => only.Count == 0 || only.Contains(job.Package))];
        if (only.FirstOrDefault(name => jobs.All(job => job.Package != name)) is { } unknown)
            throw new BuildException($"pack: there is no package '{unknown}'; the packages are {string.Join(", ", Jobs().Select(static job => job.Package))}");
        jobs = [.. jobs.Where(job => job.Natives.All(backend => backend.Platforms(pins, rids).Any()))];
        if (Directory.Exists(into)) Directory.Delete(into, recursive: true);
        string stage = Lay(jobs.SelectMany(static job => job.Natives), rids);
        // The tools are one project under several names; all other projects are packed together.
        string together = Path.Combine(stage, "packages.slnx");
        string[] projects = [.. jobs.Where(static job => !job.Carries).Select(static job => $"  <Project Path=\"{job.Project}\" />")];
        File.WriteAllLines(together, ["<Solution>", .. projects, "</Solution>"]);
        if (projects.Length > 0) Pack(together, into, stage);
        foreach (Job job in jobs.Where(static job => job.Carries)) PackTool(job, into, stage, pins, rids);
    }

    /// <summary>Builds the plug-ins that can be built here and lays out the packages of native libraries; the folder in which they are.</summary>
    public static string Lay(IEnumerable<Backend> backends, IReadOnlyCollection<string> rids)
    {
        string stage = Path.Combine(Repository.Artifacts, "stage");
        Directory.CreateDirectory(stage);
        Backend[] distinct = [.. backends.Distinct()];
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        if (OperatingSystem.IsLinux() && distinct.Contains(Backend.Cpu)) PluginVerb.BuildAll(Backend.Cpu.Platforms(pins, rids));
        Stage layout = new(pins, stage);
        foreach (Backend backend in distinct) layout.Lay(backend, rids);
        return stage;
    }

    // A package for each platform, and one that names them; other platforms get one without an engine, which inspects, plans and converts.
    private static void PackTool(Job job, string into, string stage, EngineLock pins, IReadOnlyCollection<string> rids)
    {
        string[] platforms = [.. job.Natives.Select(backend => backend.Platforms(pins, rids)).Aggregate(Enumerable.Intersect), .. job.Natives.Count == 1 ? ["any"] : (string[])[]];
        Stage layout = new(pins, stage);
        foreach (string rid in platforms) layout.Carry(job.Package, job.Natives, rid);
        Pack(job.Project, into, stage, $"-p:NbmTool={job.Package}", $"-p:NbmCarries={Path.Combine(stage, job.Package)}/", $"-p:NbmToolRids={string.Join("%3B", platforms)}");
    }

    private static void Pack(string project, string into, string stage, params string[] properties)
    {
        int exit = Dotnet.Run(
        [
            "pack", project, "--output", into, .. Compiled, $"-p:DeterministicTimestamp={Repository.CommitTime.ToUnixTimeSeconds()}", $"-p:NbmStage={stage}/", .. properties,
        ]);
        if (exit != 0) throw new BuildException($"{Path.GetFileNameWithoutExtension(project)} could not be packed; the reason is above");
    }

    /// <summary>How dotnet compiles what is shipped: the same options for all of it, so that it is compiled once.</summary>
    public static string[] Compiled { get; } =
    [
        "--nologo", "--verbosity", "quiet", "--configuration", "Release", "--artifacts-path", Path.Combine(Repository.Artifacts, "pack"),
        "-p:NbmEngine=none", "-p:RunAnalyzers=false", "-p:ContinuousIntegrationBuild=true",
    ];

    /// <summary>A package to make, its project, and the packages of native libraries that it is or carries.</summary>
    private sealed record Job(string Package, string Project, IReadOnlyList<Backend> Natives, bool Carries = false);

    private static IEnumerable<Job> Jobs()
    {
        foreach (string folder in Directory.EnumerateDirectories(Path.Combine(Repository.Root, "src")).Order(StringComparer.Ordinal))
        {
            string name = Path.GetFileName(folder), project = Path.Combine(folder, name + ".csproj");
            if (name == "NativeBigModel.Cli")
            {
                yield return new Job("NativeBigModel.Tool", project, [Backend.Cpu], Carries: true);
                yield return new Job("NativeBigModel.Tool.Cuda13", project, [Backend.Cpu, Backend.Cuda13], Carries: true);
            }
            else if (File.Exists(project))
            {
                yield return new Job(name, project, []);
            }
        }
        foreach (Backend backend in Backend.All)
            yield return new Job(backend.Package, Path.Combine(Repository.Packaging, backend.Package, backend.Package + ".csproj"), [backend]);
    }
}
