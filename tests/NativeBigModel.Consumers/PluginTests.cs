namespace NativeBigModel.Consumers;

/// <summary>The library inside a plug-in of another application, in a load context that is unloaded.</summary>
[Collection(PackagesGroup.Name)]
public sealed class PluginTests(Packages packages)
{
    [Fact]
    public void It_is_loaded_used_and_unloaded_twice()
    {
        string app = packages.App("Plugin", "plugin"), host = packages.App("Host", "host"), plugin = Path.Combine(app, "out", "Plugin.dll");
        packages.Dotnet(app, "build", "-o", "out");
        packages.Dotnet(host, "build", "-o", "out");
        Packages.Result result = packages.Run("dotnet", packages.Root, Path.Combine(host, "out", "Host.dll"), plugin, Packages.Model, Packages.Prompt);
        Assert.Equal("", result.Errors);
        Assert.Equal([Packages.Answer, "unloaded", Packages.Answer, "unloaded"], result.Output.TrimEnd().Split('\n'));
    }
}
