namespace NativeBigModel.Build;

/// <summary>Keeps the public API as it is now: the listings that a test compares with are written anew.</summary>
internal static class ApiVerb
{
    public static int Run(string[] arguments)
    {
        Environment.SetEnvironmentVariable("NBM_ACCEPT_API", "1");
        return Dotnet.Run(["test", Path.Combine(Repository.Root, "tests", "NativeBigModel.Tests"), "--filter", "FullyQualifiedName~PublicApiTests", .. arguments]);
    }
}
