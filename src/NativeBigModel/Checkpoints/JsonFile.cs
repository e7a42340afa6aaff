using System.Text.Json;

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
            return Parse(name, stream);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(name, "file", error.Message, error);
        }
    }

    /// <summary>Parses bytes that stand in the file <paramref name="name"/>.</summary>
    public static JsonDocument Parse(string name, ReadOnlyMemory<byte> utf8)
    {
        try { return JsonDocument.Parse(utf8, s_options); }
        catch (JsonException error) { throw Malformed(name, error); }
    }

    private static JsonDocument Parse(string name, Stream stream)
    {
        try { return JsonDocument.Parse(stream, s_options); }
        catch (JsonException error) { throw Malformed(name, error); }
    }

    private static CheckpointException Malformed(string name, JsonException error) =>
        new(name, $"line {error.LineNumber + 1}, byte {error.BytePositionInLine}", $"not valid JSON: {error.Message}", error);
}
