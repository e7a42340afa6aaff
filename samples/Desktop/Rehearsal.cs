using System.Text.Json;

namespace DesktopChat;

/// <summary>Does what a person would do in the window, and prints what it shows after each step, one line of JSON each. The test of this application runs it.</summary>
internal static class Rehearsal
{
    public static async Task RunAsync(ChatWindow window)
    {
        window.PressLoad();
        await SettleAsync(window, "loaded");
        window.Generate = new() { Temperature = 0 };
        window.Say("What is the capital of France?");
        await SettleAsync(window, "answered");
        // An answer without end, for something to stop.
        window.Generate = new() { Temperature = 0, IgnoreEndOfGeneration = true, KeepWhenFull = 8, MaxNewTokens = int.MaxValue };
        window.Say("What is the capital of Japan?");
        await Task.Delay(TimeSpan.FromSeconds(1));
        window.PressSend();
        await SettleAsync(window, "stopped");
        window.PressLoad();
        await SettleAsync(window, "unloaded");
        window.Close();
    }

    private static async Task SettleAsync(ChatWindow window, string step)
    {
        await window.Work;
        Console.WriteLine(JsonSerializer.Serialize(new { Step = step, Window = window.Shown() }));
    }
}
