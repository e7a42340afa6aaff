namespace NativeBigModel.Native;
internal static class LoadClock
{
    private static readonly bool s_on = System.Environment.GetEnvironmentVariable("NBM_CLOCK") is not null;
    public static void Mark(string what) { if (s_on) System.Console.Error.WriteLine($"CLOCK {(System.DateTime.Now - System.Diagnostics.Process.GetCurrentProcess().StartTime).TotalSeconds:0.000} {what}"); }
}
