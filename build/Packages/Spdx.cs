using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NativeBigModel.Build;

/// <summary>Where a file of a package was made.</summary>
/// <param name="Package">The package that it was taken out of, by its name at npm, or this project.</param>
/// <param name="Version">That package's version.</param>
/// <param name="Integrity">npm's sha512 of the package; null for this project.</param>
/// <param name="License">An SPDX expression, of the package's own.</param>
internal sealed record SpdxOrigin(string Package, string Version, string? Integrity, string License);

/// <summary>A file of a package: its path there, the file itself, its origin, and the licences of all that is inside.</summary>
internal sealed record SpdxFile(string Path, string File, SpdxOrigin Origin, License License);

/// <summary>A package's list of materials in SPDX 2.3: every native file with its hash and licences, and the package that it was taken out of.</summary>
internal static class Spdx
{
    private static readonly JsonSerializerOptions s_json = new() { WriteIndented = true, NewLine = "\n" };

    /// <summary>Writes the list; the same content gives the same bytes.</summary>
    public static void Write(string path, string package, string version, DateTimeOffset created, IReadOnlyList<SpdxFile> files)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, Document(package, version, created, files).ToJsonString(s_json) + "\n");
    }

    private static JsonObject Document(string package, string version, DateTimeOffset created, IReadOnlyList<SpdxFile> files)
    {
        SpdxOrigin[] origins = [.. files.Select(static file => file.Origin).Distinct().OrderBy(static origin => origin.Package, StringComparer.Ordinal)];
        string OriginId(SpdxOrigin origin) => $"SPDXRef-Origin-{Array.IndexOf(origins, origin)}";
        string FileId(int index) => $"SPDXRef-File-{index}";
        string[] hashes = [.. files.Select(static file => Hash(file.File))];
        return new JsonObject
        {
            ["spdxVersion"] = "SPDX-2.3",
            ["dataLicense"] = "CC0-1.0",
            ["SPDXID"] = "SPDXRef-DOCUMENT",
            ["name"] = $"{package} {version}",
            ["documentNamespace"] = $"urn:nativebigmodel:{package}:{version}:{Fold(hashes)}",
            ["creationInfo"] = new JsonObject { ["created"] = created.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", null), ["creators"] = new JsonArray("Tool: nbm-build") },
            ["packages"] = new JsonArray(
            [
                Package("SPDXRef-Package", package, version, "MIT", []),
                .. origins.Select(origin => Package(OriginId(origin), origin.Package, origin.Version, origin.License, origin.Integrity is null ? [] : [Npm(origin)])),
            ]),
            ["files"] = new JsonArray([.. files.Select((file, index) => new JsonObject
            {
                ["SPDXID"] = FileId(index),
                ["fileName"] = $"./{file.Path}",
                ["checksums"] = new JsonArray(new JsonObject { ["algorithm"] = "SHA256", ["checksumValue"] = hashes[index] }),
                ["licenseConcluded"] = file.License.Expression,
                ["copyrightText"] = "NOASSERTION",
            })]),
            ["hasExtractedLicensingInfos"] = new JsonArray([.. files.Any(static file => file.License.Expression.Contains(Licenses.Nvidia, StringComparison.Ordinal)) ? [NvidiaTerms()] : (JsonObject[])[]]),
            ["relationships"] = new JsonArray(
            [
                Relation("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Package"),
                .. files.Select((_, index) => Relation("SPDXRef-Package", "CONTAINS", FileId(index))),
                .. files.Select((file, index) => Relation(FileId(index), "GENERATED_FROM", OriginId(file.Origin))),
            ]),
        };
    }

    private static JsonObject Package(string id, string name, string version, string license, JsonArray references) => new()
    {
        ["SPDXID"] = id,
        ["name"] = name,
        ["versionInfo"] = version,
        ["downloadLocation"] = "NOASSERTION",
        ["filesAnalyzed"] = false,
        ["licenseConcluded"] = "NOASSERTION",
        ["licenseDeclared"] = license,
        ["copyrightText"] = "NOASSERTION",
        ["externalRefs"] = references,
    };

    private static JsonObject NvidiaTerms() => new()
    {
        ["licenseId"] = Licenses.Nvidia,
        ["name"] = "NVIDIA Software Development Kits EULA with the CUDA Toolkit Supplement",
        ["extractedText"] = "See THIRD-PARTY-NOTICES.md and https://docs.nvidia.com/cuda/eula",
    };

    private static JsonObject Npm(SpdxOrigin origin) => new()
    {
        ["referenceCategory"] = "PACKAGE-MANAGER",
        ["referenceType"] = "purl",
        ["referenceLocator"] = $"pkg:npm/{origin.Package.Replace("@", "%40", StringComparison.Ordinal)}@{origin.Version}",
        ["comment"] = origin.Integrity,
    };

    private static JsonObject Relation(string from, string type, string to) => new() { ["spdxElementId"] = from, ["relationshipType"] = type, ["relatedSpdxElement"] = to };

    private static string Hash(string file)
    {
        using FileStream stream = File.OpenRead(file);
        return Convert.ToHexStringLower(SHA256.HashData(stream));
    }

    private static string Fold(string[] hashes) => Convert.ToHexStringLower(SHA256.HashData(System.Text.Encoding.ASCII.GetBytes(string.Concat(hashes))))[..32];
}
