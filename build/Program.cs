using NativeBigModel.Build;

// The one list of verbs: a verb is a file in Verbs/ and a line here.
Dictionary<string, (Func<string[], int> Run, string Help)> verbs = new()
{
    ["build"] = (BuildVerb.Run, "build the solution; arguments go to dotnet build"),
    ["test"] = (TestVerb.Run, "build and test; arguments go to dotnet test"),
    ["restore"] = (RestoreVerb.Run, "restore NuGet packages; arguments go to dotnet restore"),
    ["bench"] = (BenchVerb.Run, BenchVerb.Usage),
    ["pack"] = (PackVerb.Run, PackVerb.Usage),
    ["api"] = (ApiVerb.Run, "keep the public API as it is now, in the listings that a test compares with"),
    ["single"] = (SingleVerb.Run, SingleVerb.Usage),
    ["consumers"] = (ConsumersVerb.Run, ConsumersVerb.Usage),
    ["engine"] = (EngineVerb.Run, EngineVerb.Usage),
    ["plugin"] = (PluginVerb.Run, PluginVerb.Usage),
};

string verb = args.Length == 0 ? "build" : args[0];
if (!verbs.TryGetValue(verb, out var chosen))
{
    Console.Error.WriteLine($"nbm-build: there is no verb '{verb}'; the verbs are:");
    foreach ((string name, (_, string help)) in verbs) Console.Error.WriteLine($"  {name,-9} {help}");
    return 2;
}

try
{
    return chosen.Run(args.Length == 0 ? [] : args[1..]);
}
catch (Exception failure) when (failure is BuildException or IOException or UnauthorizedAccessException)
{
    Console.Error.WriteLine($"nbm-build: {failure.Message}");
    return 1;
}
