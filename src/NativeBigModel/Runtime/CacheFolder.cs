namespace NativeBigModel.Runtime;

/// <summary>Where this library keeps what it found out about a machine.</summary>
internal static class CacheFolder
{
    /// <summary>In the user's cache folder, made when something is written; null where the user has none.</summary>
    public static string? Path
    {
        get
        {
            string folder = OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("XDG_CACHE_HOME") is { Length: > 0 } cache ? cache
                : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
                : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? System.IO.Path.Combine(home, OperatingSystem.IsMacOS() ? "Library/Caches" : ".cache") : "";
            return folder.Length == 0 ? null : System.IO.Path.Combine(folder, "nbm");
        }
    }
}
