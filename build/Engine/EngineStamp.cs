using System.Text.Json;

namespace NativeBigModel.Build;

/// <summary>engine.json: the last file written into an engine's folder. It names the packages the folder was made of and every file in it.</summary>
internal sealed record EngineStamp(string[] Integrities, EngineStamp.Entry[] Files)
{
    private const string Name = "engine.json";

    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    internal sealed record Entry(string Path, long Bytes);

    public static EngineStamp? Read(string folder)
    {
        string path = Path.Combine(folder, Name);
        if (!File.Exists(path)) return null;
        try
        {
            return JsonSerializer.Deserialize<EngineStamp>(File.ReadAllText(path), s_json);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static void Write(string folder, PinnedPackage[] packages)
    {
        Entry[] files =
        [
            .. from file in new DirectoryInfo(folder).EnumerateFiles("*", SearchOption.AllDirectories)
               let path = Path.GetRelativePath(folder, file.FullName).Replace('\\', '/')
               orderby path
               select new Entry(path, file.Length),
        ];
        EngineStamp stamp = new([.. packages.Select(static p => p.Integrity)], files);
        File.WriteAllText(Path.Combine(folder, Name), JsonSerializer.Serialize(stamp, s_json));
    }

    /// <summary>Whether the folder is whole and made of exactly these packages.</summary>
    public static bool Covers(string folder, PinnedPackage[] packages) =>
        Read(folder) is { } stamp
        && stamp.Integrities.SequenceEqual(packages.Select(static p => p.Integrity))
        && stamp.Files.All(entry => new FileInfo(Path.Combine(folder, entry.Path)) is { Exists: true } file && file.Length == entry.Bytes);
}
