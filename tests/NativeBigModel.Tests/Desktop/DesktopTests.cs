using System.Diagnostics;
using System.Text.Json;

namespace NativeBigModel.Tests.Desktop;

/// <summary>The chat application of samples/Desktop, in a window on a display of its own.</summary>
[Collection(EngineGroup.Name)]
public class DesktopTests
{
    [DisplayFact]
    public async Task It_loads_answers_stops_and_unloads()
    {
        using var display = new VirtualDisplay();
        Tool.Result run = await Tool.Run("nbm-desktop.dll", [TestFolders.Capitals, "cpu=1GiB", "64", "--rehearse"], environment: await display.EnvironmentAsync());
        Assert.Equal(0, run.ExitCode);
        Dictionary<string, JsonElement> steps = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(step => step.GetProperty("Step").GetString()!, step => step.GetProperty("Window"));
        Assert.Equal(("Unload", true), (Text(steps["loaded"], "Load"), steps["loaded"].GetProperty("CanSend").GetBoolean()));
        Assert.Matches("^cpu: [0-9.]+ MiB of 1.00 GiB$", Assert.Single(Texts(steps["loaded"], "Plan")));
        Assert.Equal(["What is the capital of France?", "The capital of France is Paris."], Texts(steps["answered"], "Messages"));
        Assert.Contains("a second", Text(steps["answered"], "Status"), StringComparison.Ordinal);
        Assert.Equal("stopped", Text(steps["stopped"], "Status"));
        Assert.StartsWith("The capital of Japan is Tokyo.", Texts(steps["stopped"], "Messages")[3], StringComparison.Ordinal);
        Assert.Equal(("Load", false), (Text(steps["unloaded"], "Load"), steps["unloaded"].GetProperty("CanSend").GetBoolean()));
        Assert.Empty(Texts(steps["unloaded"], "Messages"));
        Assert.Empty(Texts(steps["unloaded"], "Plan"));
    }

    private static string Text(JsonElement window, string name) => window.GetProperty(name).GetString()!;

    private static string[] Texts(JsonElement window, string name) => [.. window.GetProperty(name).EnumerateArray().Select(text => text.GetString()!)];

    /// <summary>A test that needs GTK 4 and a display without a screen.</summary>
    private sealed class DisplayFactAttribute : FactAttribute
    {
        public DisplayFactAttribute()
        {
            string[] folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];
            if (!folders.Any(folder => File.Exists(Path.Combine(folder, "libgtk-4.so.1")))) Skip = "GTK 4 is not installed";
            else if (!File.Exists(VirtualDisplay.Server)) Skip = "Xvfb is not installed";
        }
    }

    private sealed class VirtualDisplay : IDisposable
    {
        public const string Server = "/usr/bin/Xvfb";

        // It prints the number of a display that is free.
        private readonly Process _server = Process.Start(new ProcessStartInfo(Server, ["-displayfd", "1", "-screen", "0", "900x760x24"]) { RedirectStandardOutput = true, RedirectStandardError = true })!;

        public async Task<Dictionary<string, string>> EnvironmentAsync() => new()
        {
            ["DISPLAY"] = $":{await _server.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60))}", ["GDK_BACKEND"] = "x11", ["GSK_RENDERER"] = "cairo", ["GTK_A11Y"] = "none",
        };

        public void Dispose()
        {
            _server.Kill();
            _server.Dispose();
        }
    }
}
