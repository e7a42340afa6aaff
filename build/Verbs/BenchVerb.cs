namespace NativeBigModel.Build;

internal static class BenchVerb
{
    public const string Usage = "run the benchmark program; arguments go to it. micro [--short] runs the small ones";

    public static int Run(string[] arguments) => arguments is ["micro", .. var rest] ? Run("NativeBigModel.Micro", rest) : Run("NativeBigModel.Bench", arguments);

    private static int Run(string project, string[] arguments) => Dotnet.Run(["run", "--project", Path.Combine(Repository.Root, "bench", project), "--configuration", "Release", "--", .. arguments]);
}
