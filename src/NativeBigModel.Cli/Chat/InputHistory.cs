namespace NativeBigModel.Cli.Chat;

/// <summary>What was typed before, in this run and in earlier ones: one entry a line of a file that only its user may read.</summary>
internal sealed class InputHistory
{
    private const int MostEntries = 1000;

    private readonly List<string> _entries = [];
    private readonly string? _file;

    /// <param name="file">Where it is kept; null to forget it.</param>
    public InputHistory(string? file)
    {
        _file = file;
        try
        {
            if (file is not null && File.Exists(file)) _entries.AddRange(File.ReadLines(file).Where(line => line.Length > 0).Select(Unescape).TakeLast(MostEntries));
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { }
    }

    /// <summary>The user's own: NBM_CHAT_HISTORY, or a file in the folder for such state; null where there is none.</summary>
    public static string? UsersFile()
    {
        if (Environment.GetEnvironmentVariable("NBM_CHAT_HISTORY") is { } named) return named.Length > 0 ? named : null;
        string folder = OperatingSystem.IsLinux() && Environment.GetEnvironmentVariable("XDG_STATE_HOME") is { Length: > 0 } state ? state
            : OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData)
            : Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) is { Length: > 0 } home ? Path.Combine(home, OperatingSystem.IsMacOS() ? "Library/Application Support" : ".local/state") : "";
        return folder.Length > 0 ? Path.Combine(folder, "nbm", "chat-history") : null;
    }

    /// <summary>The entries, the latest last.</summary>
    public IReadOnlyList<string> Entries => _entries;

    /// <summary>Adds an entry, unless it is the latest again. What cannot be written is kept for this run.</summary>
    public void Add(string entry)
    {
        if (entry.Length == 0 || (_entries.Count > 0 && _entries[^1] == entry)) return;
        _entries.Add(entry);
        if (_entries.Count > MostEntries) _entries.RemoveAt(0);
        if (_file is null) return;
        try { Write(_file); }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException) { }
    }

    private void Write(string file)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(file))!);
        string partial = $"{file}.{Guid.NewGuid():N}.partial";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        try
        {
            using (var writer = new StreamWriter(partial, options))
            {
                foreach (string entry in _entries) writer.WriteLine(Escape(entry));
            }
            File.Move(partial, file, overwrite: true);
        }
        finally { File.Delete(partial); }
    }

    private static string Escape(string entry) => entry.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    private static string Unescape(string line)
    {
        string[] parts = line.Split("\\\\");
        return string.Join('\\', parts.Select(part => part.Replace("\\n", "\n", StringComparison.Ordinal)));
    }
}
