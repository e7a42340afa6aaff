using System.Formats.Tar;
using System.IO.Compression;
using System.Security.Cryptography;
using NativeBigModel.Build;

namespace NativeBigModel.Tests.Build;

/// <summary>npm tarballs made on the spot.</summary>
internal static class TarballFile
{
    public static string Write(string path, params (string Name, string Content)[] files) =>
        Write(path, [.. files.Select(static file => new PaxTarEntry(TarEntryType.RegularFile, file.Name) { DataStream = new MemoryStream(System.Text.Encoding.UTF8.GetBytes(file.Content)) })]);

    public static string Write(string path, params TarEntry[] entries)
    {
        using GZipStream gzip = new(File.Create(path), CompressionLevel.Fastest);
        using TarWriter writer = new(gzip);
        foreach (TarEntry entry in entries) writer.WriteEntry(entry);
        return path;
    }

    public static PinnedPackage Pin(string path) =>
        new("@scope/engine", "sha512-" + Convert.ToBase64String(SHA512.HashData(File.ReadAllBytes(path))), "bins/here", ["LICENSE"]);
}
