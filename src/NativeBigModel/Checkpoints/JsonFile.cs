using System.Text;
using System.Text.Json;
using System.Text.Unicode;

namespace NativeBigModel.Checkpoints;

/// <summary>Reads a JSON file whose content is not trusted: size, depth and duplicate keys are bounded, and every failure names file and field.</summary>
internal static class JsonFile
{
    private static readonly JsonDocumentOptions s_options = new() { MaxDepth = 64, AllowDuplicateProperties = false };

    /// <summary>Parses the file; the caller disposes the document.</summary>
    /// <exception cref="CheckpointException">Missing, larger than <paramref name="maxBytes"/>, or not valid JSON.</exception>
    public static JsonDocument Open(string path, long maxBytes)
    {
        string name = Path.GetFileName(path);
        try
        {
            using FileStream stream = File.OpenRead(path);
            if (stream.Length > maxBytes) throw new CheckpointException(name, "size", $"{stream.Length} bytes, and at most {maxBytes} are read");
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return Parse(name, bytes.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? bytes.AsMemory(Encoding.UTF8.Preamble.Length) : bytes);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(name, "file", error.Message, error);
        }
    }

    /// <summary>Parses bytes that stand in the file <paramref name="name"/>.</summary>
    /// <exception cref="CheckpointException">They are not valid UTF-8, or not valid JSON.</exception>
    public static JsonDocument Parse(string name, ReadOnlyMemory<byte> utf8)
    {
        // The parser takes any bytes inside a string, and throws when the string is read.
        if (!Utf8.IsValid(utf8.Span)) throw new CheckpointException(name, $"byte {ValidPrefix(utf8.Span)}", "is not valid UTF-8");
        try { return JsonDocument.Parse(utf8, s_options); }
        catch (JsonException error) { throw Malformed(name, error); }
        catch (InvalidOperationException error) { throw new CheckpointException(name, "root", "has a key that is not valid Unicode", error); }
    }

    /// <summary>The name of an entry; JSON can spell half a surrogate pair, which no string of this platform can hold.</summary>
    public static string NameOf(string file, string field, JsonProperty entry)
    {
        try { return entry.Name; }
        catch (InvalidOperationException error) { throw new CheckpointException(file, field, "has a key that is not valid Unicode", error); }
    }

    private static int ValidPrefix(ReadOnlySpan<byte> utf8)
    {
        int at = 0;
        while (Rune.DecodeFromUtf8(utf8[at..], out _, out int length) == System.Buffers.OperationStatus.Done) at += length;
        return at;
    }

    private static CheckpointException Malformed(string name, JsonException error) =>
        new(name, $"line {error.LineNumber + 1}, byte {error.BytePositionInLine}", $"not valid JSON: {error.Message}", error);
}
