using System.Text;
using System.Text.Json;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tokenizers;

/// <summary>The tokenizer's files in a Hugging Face folder; absent ones are null. Owns the parsed documents.</summary>
internal sealed class TokenizerFiles : IDisposable
{
    public const string TokenizerJson = "tokenizer.json";
    public const string SentencePiece = "tokenizer.model";
    public const string ChatTemplate = "chat_template.jinja";

    private const long Megabyte = 1 << 20;
    private const long LargestVocabulary = 256 * Megabyte;
    private const long LargestSetting = 16 * Megabyte;

    private readonly string _folder;
    private readonly List<JsonDocument> _documents = [];

    public TokenizerFiles(string folder)
    {
        _folder = folder;
        try
        {
            Tokenizer = Open(TokenizerJson, LargestVocabulary);
            Config = Open("tokenizer_config.json", LargestSetting);
            SpecialTokensMap = Open("special_tokens_map.json", LargestSetting);
            GenerationConfig = Open("generation_config.json", LargestSetting);
            AddedTokens = Open("added_tokens.json", LargestSetting);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    public JsonField? Tokenizer { get; }

    public JsonField? Config { get; }

    public JsonField? SpecialTokensMap { get; }

    public JsonField? GenerationConfig { get; }

    public JsonField? AddedTokens { get; }

    public bool Has(string name) => File.Exists(Path.Combine(_folder, name));

    /// <summary>The file's bytes, or null where there is none.</summary>
    public byte[]? ReadSentencePiece() => ReadBytes(SentencePiece, LargestVocabulary);

    /// <summary>The file's text, or null where there is none.</summary>
    public string? ReadChatTemplate()
    {
        byte[]? utf8 = ReadBytes(ChatTemplate, LargestSetting);
        try { return utf8 is null ? null : Utf8.Strict.GetString(utf8); }
        catch (DecoderFallbackException error) { throw new CheckpointException(ChatTemplate, $"byte {error.Index}", "not valid UTF-8", error); }
    }

    public void Dispose() => _documents.ForEach(static document => document.Dispose());

    private JsonField? Open(string name, long maxBytes)
    {
        if (!Has(name)) return null;
        JsonDocument document = JsonFile.Open(Path.Combine(_folder, name), maxBytes);
        _documents.Add(document);
        JsonField root = JsonField.Root(name, document);
        return root.IsObject ? root : throw root.Error($"{root.Element.ValueKind} where an object belongs");
    }

    private byte[]? ReadBytes(string name, long maxBytes)
    {
        if (!Has(name)) return null;
        try
        {
            using FileStream stream = File.OpenRead(Path.Combine(_folder, name));
            if (stream.Length > maxBytes) throw new CheckpointException(name, "size", $"{stream.Length} bytes, and at most {maxBytes} are read");
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes;
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException(name, "file", error.Message, error);
        }
    }
}

internal static class Utf8
{
    /// <summary>UTF-8 that throws instead of replacing.</summary>
    public static readonly UTF8Encoding Strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
