using System.Buffers.Binary;
using System.IO.Compression;
using System.Text;
using NativeBigModel.Build;

namespace NativeBigModel.Consumers;

/// <summary>What debuggers read of the native libraries that are this project's own.</summary>
[Collection(PackagesGroup.Name)]
public sealed class SymbolsTests(Packages packages)
{
    [Fact]
    public void Own_libraries_name_their_symbols_which_are_in_the_package_and_not_in_the_library()
    {
        using ZipArchive package = ZipFile.OpenRead(Path.Combine(packages.Feed, $"NativeBigModel.Backend.Cpu.{Repository.Version}.nupkg"));
        ZipArchiveEntry[] symbols = [.. package.Entries.Where(static entry => entry.FullName.StartsWith("symbols/", StringComparison.Ordinal))];
        Assert.Equal(
            from rid in Packages.Rids from name in (string[])["nbm", "nbm_chat"] select $"symbols/{rid}/{Backend.LibraryFile(name, rid)}.debug",
            symbols.Select(static entry => entry.FullName).Order(StringComparer.Ordinal));
        foreach (ZipArchiveEntry entry in symbols)
        {
            byte[] debug = Read(entry), library = Read(package.GetEntry($"runtimes/{entry.FullName.Split('/')[1]}/native/{Path.GetFileNameWithoutExtension(entry.Name)}")!);
            foreach (string text in (string[])[".debug_info", entry.Name.Contains("chat", StringComparison.Ordinal) ? "native/chat/answer.cpp" : "native/ring.cpp"])
                Assert.True(Find(debug, text) >= 0, $"{entry.FullName} has no {text}");
            Assert.True(Find(library, ".debug_info") < 0, $"the library of {entry.FullName} has symbols itself");
            foreach (string machine in (string[])[Repository.Root, Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + "/", Path.GetTempPath()])
                Assert.True(Find(debug, machine) < 0, $"{entry.FullName} names {machine}");
            Assert.True(Find(library, "_GLOBAL__N__") < 0, $"the library of {entry.FullName} has a name in it that nvcc makes of the folder");
            // The link: the name, a zero, zeros up to a multiple of four bytes, and the file's CRC-32, which zip has as well.
            int link = Find(library, entry.Name + '\0');
            Assert.True(link >= 0, $"the library of {entry.FullName} does not name it");
            Assert.Equal(entry.Crc32, BinaryPrimitives.ReadUInt32LittleEndian(library.AsSpan(link + (entry.Name.Length + 4) / 4 * 4)));
        }
    }

    private static int Find(byte[] bytes, string text) => bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(text));

    private static byte[] Read(ZipArchiveEntry entry)
    {
        using var bytes = new MemoryStream();
        using Stream stream = entry.Open();
        stream.CopyTo(bytes);
        return bytes.ToArray();
    }
}
