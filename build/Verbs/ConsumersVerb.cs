namespace NativeBigModel.Build;

/// <summary>The part of the tests that packs, and builds applications from the packages as a user would.</summary>
internal static class ConsumersVerb
{
    public const string Usage = "test the packages in applications outside the repository; arguments go to dotnet test";

    public static int Run(string[] arguments) => Dotnet.Run(["test", Path.Combine(Repository.Root, "tests", "NativeBigModel.Consumers"), .. arguments]);
}
