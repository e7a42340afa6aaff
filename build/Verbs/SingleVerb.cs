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
        string into = Path.Combine(Repository.Artifacts, "single", rid);
        Make(into, rid);
        Console.WriteLine(string.Join('\n', Directory.GetFiles(into)));
        return 0;
    }

    /// <summary>Makes the file, in a folder that holds nothing else afterwards.</summary>
    public static void Make(string into, string rid)
    {
        EngineLock pins = EngineLock.Read(Repository.EngineLockFile);
        pins.Packages(rid, Backend.Cpu.Kind);
        string carries = new Stage(pins, PackVerb.Lay([Backend.Cpu], [rid])).Carry("nbm", [Backend.Cpu], rid);
        if (Directory.Exists(into)) Directory.Delete(into, recursive: true);
        int exit = Dotnet.Run(
        [
            "publish", Path.Combine(Repository.Root, "src", "NativeBigModel.Cli"), "--runtime", rid, "--self-contained", "--output", into, .. PackVerb.Compiled, "-p:PublishSingleFile=true", "-p:PublishReadyToRun=true",
            "-p:PublishReadyToRunComposite=false", "-p:IncludeAllContentForSelfExtract=true", "-p:EnableCompressionInSingleFile=true", "-p:CopyOutputSymbolsToPublishDirectory=false",
            "-p:AllowedReferenceRelatedFileExtensions=none", "-p:PublishDocumentationFiles=false", $"-p:NbmCarries={carries}/",
        ]);
        if (exit != 0) throw new BuildException("nbm could not be made one file; the reason is above");
    }
}
