namespace NativeBigModel.Build;

internal static class BuildVerb
{
    public static int Run(string[] arguments) => Dotnet.Run(["build", Repository.Solution, .. arguments]);
}
