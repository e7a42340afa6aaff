using System.Text.Json;
using System.Text.Json.Serialization;

namespace NativeBigModel.Build;

/// <summary>One pinned npm package.</summary>
/// <param name="Package">Its name.</param>
/// <param name="Integrity">npm's own form: <c>sha512-</c> and 64 bytes in base64.</param>
/// <param name="Folder">The folder inside the tarball's <c>package/</c> that holds what is wanted.</param>
/// <param name="Licenses">License files inside <c>package/</c>.</param>
/// <param name="Version">Its version, where it is not the lock's.</param>
/// <param name="Engine">The release of llama.cpp inside, where it is not the lock's: an earlier one whose functions and structs, as far as they are bound, are the same.</param>
internal sealed record PinnedPackage(string Package, string Integrity, string Folder, string[] Licenses, string? Version = null, string? Engine = null);

/// <summary>native/llama.lock.json: every package of the engine, by platform and kind. <see cref="Engine"/> and <see cref="Version"/> are those of packages that name none of their own.</summary>
internal sealed record EngineLock(
    string Engine, string Version, PinnedPackage Sources, Dictionary<string, Dictionary<string, PinnedPackage[]>> Platforms)
{
    public const string SourcesKind = "sources";

    private static readonly JsonSerializerOptions s_strict = new(JsonSerializerDefaults.Web)
    {
        PropertyNameCaseInsensitive = false,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectRequiredConstructorParameters = true,
        RespectNullableAnnotations = true,
    };

    public static EngineLock Read(string file) => Parse(File.ReadAllText(file), Path.GetFileName(file));

    /// <summary>Reads and checks a lock file; <paramref name="name"/> is for the error.</summary>
    public static EngineLock Parse(string json, string name)
    {
        EngineLock read;
        try
        {
            read = JsonSerializer.Deserialize<EngineLock>(json, s_strict) ?? throw new BuildException($"{name}: the file holds null");
        }
        catch (JsonException problem)
        {
            throw new BuildException($"{name}: {problem.Message.ReplaceLineEndings(" ")}", problem);
        }
        foreach (PinnedPackage pin in read.Platforms.Values.SelectMany(static kinds => kinds.Values).SelectMany(static pins => pins).Append(read.Sources))
        {
            if (!Npm.IsIntegrity(pin.Integrity))
                throw new BuildException($"{name}: {pin.Package}: integrity '{pin.Integrity}' is not sha512- and 64 bytes in base64");
            foreach (string path in pin.Licenses.Append(pin.Folder))
                if (!Tarball.StaysInside(path)) throw new BuildException($"{name}: {pin.Package}: '{path}' leaves the package");
        }
        return read;
    }

    /// <summary>The release of llama.cpp that a platform has.</summary>
    public string EngineOf(string rid, string kind) => Packages(rid, kind)[0].Engine ?? Engine;

    /// <summary>The version of a package.</summary>
    public string VersionOf(PinnedPackage pin) => pin.Version ?? Version;

    public bool Has(string rid, string kind) => Platforms.TryGetValue(rid, out var kinds) && kinds.ContainsKey(kind);

    /// <summary>The packages of one engine, or an error that names the ones there are. The sources are the same for every platform.</summary>
    public PinnedPackage[] Packages(string rid, string kind)
    {
        if (kind == SourcesKind) return [Sources];
        if (Has(rid, kind)) return Platforms[rid][kind];
        string known = string.Join(", ", Platforms.SelectMany(static p => p.Value.Keys.Select(k => $"{p.Key} {k}")));
        throw new BuildException(
            $"no {kind} engine is pinned for {rid} (there is: {known}); build without one by -p:NbmEngine=none and set NBM_ENGINE_PATH to a folder with {Engine}");
    }
}
