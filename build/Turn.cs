namespace NativeBigModel.Build;

/// <summary>One build after the other where several want to make the same folder: those of projects that are built side by side, and of tests that make packages meanwhile.</summary>
internal static class Turn
{
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(30);

    /// <summary>Waits until nobody holds the file, and holds it until the result is disposed of.</summary>
    /// <exception cref="BuildException">Somebody has held it for half an hour.</exception>
    public static IDisposable Wait(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        for (long start = Environment.TickCount64; ;)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (Environment.TickCount64 - start < s_patience.TotalMilliseconds)
            {
                Thread.Sleep(200);
            }
            catch (IOException cause)
            {
                throw new BuildException($"another build has held {path} for {s_patience.TotalMinutes} minutes: end it and build again", cause);
            }
        }
    }
}
