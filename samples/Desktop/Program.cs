using System.Globalization;
using DesktopChat;

// nbm-desktop [PATH [LIMITS [CONTEXT]]] [--rehearse]
string[] given = [.. args.Where(static argument => argument != "--rehearse")];
try
{
    if (!Gtk.Start())
    {
        Console.Error.WriteLine("error: there is no display");
        return 1;
    }
}
catch (DllNotFoundException)
{
    Console.Error.WriteLine("error: GTK 4 is not installed (Debian and Ubuntu: apt install libgtk-4-1)");
    return 1;
}
SynchronizationContext.SetSynchronizationContext(new GtkContext());
var window = new ChatWindow(given.ElementAtOrDefault(0) ?? "", given.ElementAtOrDefault(1) ?? "", given.Length > 2 ? int.Parse(given[2], CultureInfo.InvariantCulture) : null);
if (args.Contains("--rehearse")) _ = Rehearsal.RunAsync(window);
else if (given.Length > 0) window.PressLoad();
Gtk.Run();
return 0;
