using System.Reflection;
using PublicApiGenerator;

namespace NativeBigModel.Tests;

/// <summary>
/// What each package promises, as a committed listing. A change of it is a change for users: look at the difference, and keep it by
/// <c>./build.sh api</c>, which writes the listings anew.
/// </summary>
public sealed class PublicApiTests
{
    public const string Accept = "NBM_ACCEPT_API";

    private static readonly ApiGeneratorOptions s_options = new() { IncludeAssemblyAttributes = false, DenyNamespacePrefixes = [] };

    public static TheoryData<string> Packages => ["NativeBigModel", "NativeBigModel.Extensions.AI", "NativeBigModel.Extensions.DependencyInjection", "NativeBigModel.Server"];

    [Theory]
    [MemberData(nameof(Packages))]
    public void The_public_api_is_what_was_agreed(string package)
    {
        string listing = Path.Combine(TestFolders.Repository, "tests", "NativeBigModel.Tests", "PublicApi", package + ".txt");
        string actual = Assembly.Load(package).GeneratePublicApi(s_options).ReplaceLineEndings("\n").TrimEnd() + "\n";
        if (Environment.GetEnvironmentVariable(Accept) is "1") File.WriteAllText(listing, actual);
        string agreed = File.Exists(listing) ? File.ReadAllText(listing) : "";
        string? first = actual.Split('\n').Except(agreed.Split('\n')).Select(static line => $"+ {line.Trim()}").Concat(agreed.Split('\n').Except(actual.Split('\n')).Select(static line => $"- {line.Trim()}")).FirstOrDefault();
        Assert.True(actual == agreed, $"the public API of {package} has changed, for example: {first ?? "the order"}; ./build.sh api keeps the change");
    }
}
