namespace NativeBigModel.Build;

/// <summary>Makes <c>nbm</c> one executable file, with .NET, the engine for CPUs and the bundled model inside. It unpacks itself once into the user's folder for such files.</summary>
internal static class SingleVerb
{
    public const string Usage = "make nbm one executable file in artifacts/single/RID: [--rid RID]";

    public static int Run(string[] arguments)
    {
        string rid = arguments switch
        {
            [] => Platform.Rid,
            ["--rid", string named] => named,
            _ => throw new BuildException($"single: '{string.Join(' ', arguments)}' is not understood; usage: single, {Usage}"),
        };
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        pins.Packages(rid, Backend.Cpu.Kind);
        string stage = PackVerb.Lay([Backend.Cpu], [rid]), into = Path.Combine(Repository.Artifacts, "single", rid);
        string carries = new Stage(pins, stage).Carry($"nbm-{rid}", [Backend.Cpu], rid);
        if (Directory.Exists(into)) Directory.Delete(into, recursive: true);
        int exit = Dotnet.Run(
        [
            "publish", Path.Combine(Repository.Root, "src", "NativeBigModel.Cli"), "--nologo", "--verbosity", "quiet", "--configuration", "Release", "--runtime", rid, "--self-contained",
            "--output", into, "--artifacts-path", Path.Combine(Repository.Artifacts, "pack"), "-p:NbmEngine=none", "-p:RunAnalyzers=false", "-p:PublishSingleFile=true", "-p:PublishReadyToRun=true", "-p:PublishReadyToRunComposite=false", "-p:IncludeAllContentForSelfExtract=true",
            "-p:EnableCompressionInSingleFile=true", "-p:DebugType=none", "-p:EmbedAllSources=false", "-p:GenerateDocumentationFile=false", $"-p:NbmCarries={carries}/",
        ]);
        if (exit == 0) Console.WriteLine(string.Join('\n', Directory.GetFiles(into)));
        return exit;
    }
}
