using System.Diagnostics;

namespace NativeBigModel.Build;

/// <summary>A program that runs those of another platform here.</summary>
/// <param name="Target">The platform.</param>
/// <param name="Prefix">The command before a program's own.</param>
internal sealed record Emulator(CrossTarget Target, string[] Prefix)
{
    /// <summary>The platform's emulator, unpacked with its compiler in <paramref name="root"/> or installed; null where there is none.</summary>
    public static Emulator? For(CrossTarget target, string root = "/")
    {
        foreach (string[] command in target.Emulators)
        {
            if ((Command.Find(Path.Combine(root, command[0].TrimStart('/'))) ?? Command.Find(command[0])) is { } program)
                return new(target, [program, .. command[1..].Select(argument => argument.Replace("ROOT", root.TrimEnd('/'), StringComparison.Ordinal))]);
        }
        return null;
    }

    /// <summary>How to start a program for the platform, which finds its libraries in these folders.</summary>
    public ProcessStartInfo Start(string program, string[] arguments, string[] libraries)
    {
        ProcessStartInfo start = new(Prefix[0], [.. Prefix[1..], program, .. arguments]);
        if (Target.System == "Windows")
        {
            start.Environment["WINEPATH"] = string.Join(';', libraries.Select(static folder => "Z:" + folder.Replace('/', '\\')));
            start.Environment["WINEPREFIX"] = Directory.CreateDirectory(Path.Combine(Repository.Artifacts, "wine")).FullName;
            start.Environment["WINEDEBUG"] = "-all";
        }
        return start;
    }
}
