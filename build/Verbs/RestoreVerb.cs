namespace NativeBigModel.Build;

internal static class RestoreVerb
{
    public static int Run(string[] arguments) => Dotnet.Run(["restore", Repository.Solution, .. arguments]);
}
