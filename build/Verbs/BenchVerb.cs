namespace NativeBigModel.Build;

internal static class BenchVerb
{
    public static int Run(string[] arguments) => Dotnet.Run(["run", "--project", Path.Combine(Repository.Root, "bench", "NativeBigModel.Bench"), "--configuration", "Release", "--", .. arguments]);
}
