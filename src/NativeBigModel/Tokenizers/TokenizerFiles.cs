using System.Text;
using System.Text.Json;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tokenizers;

/// <summary>The tokenizer's files in a Hugging Face folder; absent ones are null. Owns the parsed documents.</summary>
internal sealed class TokenizerFiles : IDisposable
{
    public const string TokenizerJson = "tokenizer.json";
    public const string SentencePiece = "tokenizer.model";
    public const string SentencePieceT5 = "spiece.model";
    public const string ChatTemplate = "chat_template.jinja";
    public const string VocabularyJson = "vocab.json";
    public const string MergesTxt = "merges.txt";
    public const string VocabularyTxt = "vocab.txt";

    private const long Megabyte = 1 << 20;
    private const long LargestVocabulary = 256 * Megabyte;
    private const long LargestSetting = 16 * Megabyte;

    private static readonly string[] s_special = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

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
            ChatTemplateJson = Open("chat_template.json", LargestSetting);
            HasTokenizerJson = Tokenizer is not null;
            if (!HasTokenizerJson && RankFiles.Read(this) is { } ranks) Tokenizer = Keep(ranks.File, ranks.Tokenizer);
            else if (!HasTokenizerJson && !Has(SentencePiece)) Tokenizer = Keep(VocabularyJson, LooseFiles.Bpe(this)) ?? Keep(VocabularyTxt, LooseFiles.WordPiece(this)) ?? Keep(SentencePieceT5, LooseFiles.Unigram(this));
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>tokenizer.json, or what <see cref="LooseFiles"/> make up in its place.</summary>
    public JsonField? Tokenizer { get; }

    /// <summary>Whether <see cref="Tokenizer"/> is a file.</summary>
    public bool HasTokenizerJson { get; }

    public JsonField? Config { get; }

    public JsonField? SpecialTokensMap { get; }

    public JsonField? GenerationConfig { get; }

    public JsonField? AddedTokens { get; }

    public JsonField? ChatTemplateJson { get; }

    /// <summary>config.json's model_type, where there is one.</summary>
    public string? ModelType => Open("config.json", LargestSetting)?.Find("model_type")?.Text();

    public bool Has(string name) => File.Exists(Path.Combine(_folder, name));

    /// <summary>The file's bytes, or null where there is none.</summary>
    public byte[]? ReadSentencePiece(string name = SentencePiece) => ReadBytes(name, LargestVocabulary);

    /// <summary>The file's text, or null where there is none.</summary>
    public string? ReadChatTemplate() => ReadText(ChatTemplate, LargestSetting);

    /// <summary>The templates beside it, by name.</summary>
    public IEnumerable<(string Name, string Template)> ReadMoreChatTemplates()
    {
        string folder = Path.Combine(_folder, "additional_chat_templates");
        if (!Directory.Exists(folder)) return [];
        return Directory.EnumerateFiles(folder, "*.jinja").Order(StringComparer.Ordinal).Select(file => Path.GetFileNameWithoutExtension(file))
            .Select(name => (name, ReadText(Path.Combine("additional_chat_templates", name + ".jinja"), LargestSetting)!));
    }

    /// <summary>The file's text, or null where there is none.</summary>
    public string? ReadText(string name) => ReadText(name, LargestVocabulary);

    /// <summary>The spelling of bos_token and the like.</summary>
    public string? SpecialText(string name) => Spelling(Config?.Find(name)) ?? Spelling(SpecialTokensMap?.Find(name));

    /// <summary>Every token that the settings call special, as a text or as an object with its flags.</summary>
    public IEnumerable<JsonField> SpecialTokens()
    {
        foreach (JsonField settings in new[] { Config, SpecialTokensMap }.OfType<JsonField>())
        {
            foreach (string name in s_special)
            {
                if (settings.Find(name) is { } token) yield return token;
            }
            foreach (JsonField token in settings.Find("additional_special_tokens")?.Items() ?? []) yield return token;
        }
    }

    /// <summary>The text of a token that is written as such or as an object.</summary>
    public static string? Spelling(JsonField? token) => token is not { } field ? null : field.IsString ? field.Text() : field.Get("content").Text();

    public void Dispose() => _documents.ForEach(static document => document.Dispose());

    private JsonField? Open(string name, long maxBytes)
    {
        if (!Has(name)) return null;
        JsonField root = Keep(name, JsonFile.Open(Path.Combine(_folder, name), maxBytes))!.Value;
        return root.IsObject ? root : throw root.Error($"{root.Element.ValueKind} where an object belongs");
    }

    private JsonField? Keep(string name, JsonDocument? document)
    {
        if (document is null) return null;
        _documents.Add(document);
        return JsonField.Root(name, document);
    }

    private string? ReadText(string name, long maxBytes)
    {
        byte[]? utf8 = ReadBytes(name, maxBytes);
        try { return utf8 is null ? null : Utf8.Strict.GetString(utf8); }
        catch (DecoderFallbackException error) { throw new CheckpointException(name, $"byte {error.Index}", "not valid UTF-8", error); }
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
