using System.Text;
using System.Text.Json.Nodes;
using Google.Protobuf;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>A folder with hand-made tokenizer files, deleted afterwards.</summary>
internal sealed class TokenizerFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("nbm-tok-").FullName;

    public TokenizerFolder With(string name, JsonNode json) => With(name, Encoding.UTF8.GetBytes(json.ToJsonString()));

    public TokenizerFolder With(string name, string text) => With(name, Encoding.UTF8.GetBytes(text));

    public TokenizerFolder With(string name, byte[] bytes)
    {
        File.WriteAllBytes(System.IO.Path.Combine(Path, name), bytes);
        return this;
    }

    public Vocabulary Read(int size, TokenIds? config = null) => HuggingFaceTokenizer.Read(Path, size, config ?? new(null, null, null))!;

    public void Dispose() => Directory.Delete(Path, recursive: true);
}

/// <summary>The smallest tokenizers of each kind, to be spoilt by the tests.</summary>
internal static class Samples
{
    public const string Llama3Regex = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    public const int ByteLevelSize = 261;

    /// <summary>256 bytes, "ab" (256), "abc" (257), end-of-text (258, special), a tool tag (259); 260 is free.</summary>
    public static JsonNode ByteLevel()
    {
        JsonObject vocab = [];
        for (int value = 0; value < 256; value++) vocab[ByteAlphabet.OfByte((byte)value).ToString()] = value;
        vocab["ab"] = 256;
        vocab["abc"] = 257;
        return JsonNode.Parse($$"""
            {
              "added_tokens": [
                {"id": 258, "content": "<|endoftext|>", "special": true, "normalized": false},
                {"id": 259, "content": "<tool>", "special": false, "normalized": false}
              ],
              "normalizer": null,
              "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
              "post_processor": null,
              "model": {"type": "BPE", "unk_token": null, "byte_fallback": false, "ignore_merges": false, "vocab": {{vocab.ToJsonString()}}, "merges": ["a b", "ab c"]}
            }
            """)!;
    }

    public const int SentencePieceSize = 266;

    /// <summary>unk, bos, eos, 256 bytes (3 to 258), then the letters space, a, b, c (259 to 262) and the pieces "ab", "abc", "bc".</summary>
    public static JsonNode SentencePieceJson()
    {
        JsonObject vocab = new() { ["<unk>"] = 0, ["<s>"] = 1, ["</s>"] = 2 };
        for (int value = 0; value < 256; value++) vocab[$"<0x{value:X2}>"] = 3 + value;
        foreach (string piece in (string[])["\u2581", "a", "b", "c", "ab", "abc", "bc"]) vocab[piece] = vocab.Count;
        return JsonNode.Parse($$$"""
            {
              "added_tokens": [
                {"id": 0, "content": "<unk>", "special": true},
                {"id": 1, "content": "<s>", "special": true},
                {"id": 2, "content": "</s>", "special": true}
              ],
              "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
              "pre_tokenizer": null,
              "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]} }
              },
              "model": {
                "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true, "vocab": {{{vocab.ToJsonString()}}},
                "merges": [["b", "c"], ["a", "b"], ["ab", "c"], ["a", "bc"]]
              }
            }
            """)!;
    }

    /// <summary>unk, end, space, then a to d and "ab".</summary>
    public static JsonNode Unigram() => JsonNode.Parse("""
        {
          "added_tokens": [{"id": 0, "content": "<unk>", "special": true}, {"id": 1, "content": "</s>", "special": true}],
          "normalizer": null,
          "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}]},
          "post_processor": {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}], "special_tokens": {"</s>": {"ids": [1]}}},
          "decoder": {"type": "Metaspace"},
          "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0], ["</s>", 0], ["▁", -2], ["a", -3], ["b", -3], ["c", -3], ["d", -3], ["ab", -3.5]]}
        }
        """)!;

    /// <summary>unk, end, 256 bytes (2 to 257), then pieces and their scores.</summary>
    public static JsonNode Fallback()
    {
        JsonNode json = Unigram();
        json["pre_tokenizer"] = JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false}""");
        json["model"]!["byte_fallback"] = true;
        JsonArray pieces = json["model"]!["vocab"]!.AsArray();
        for (int value = 0; value < 256; value++) pieces.Insert(2 + value, new JsonArray($"<0x{value:X2}>", 0.0));
        return json;
    }

    /// <summary>pad, unk, cls, sep, then words and parts of words.</summary>
    public static JsonNode WordPiece() => JsonNode.Parse("""
        {
          "added_tokens": [{"id": 0, "content": "[PAD]", "special": true}, {"id": 1, "content": "[UNK]", "special": true}, {"id": 2, "content": "[CLS]", "special": true}, {"id": 3, "content": "[SEP]", "special": true}],
          "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
          "pre_tokenizer": {"type": "BertPreTokenizer"},
          "post_processor": {"type": "BertProcessing", "cls": ["[CLS]", 2], "sep": ["[SEP]", 3]},
          "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
          "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4, "b": 5, "##b": 6, "ab": 7, ".": 8}}
        }
        """)!;

    public static JsonNode Config() => JsonNode.Parse("""{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}""")!;

    /// <summary>The files of a whole tokenizer.</summary>
    public static IEnumerable<(string Name, byte[] Bytes)> FilesOf(string kind) => kind switch
    {
        "Unigram" => [("tokenizer.json", Utf8(Unigram())), Settings("</s>", "T5Tokenizer")],
        "WordPiece" => [("tokenizer.json", Utf8(WordPiece())), Settings(null, "BertTokenizer")],
        "SentencePiece" => [("tokenizer.json", Utf8(SentencePieceJson())), Settings("</s>", "LlamaTokenizer")],
        "loose" => [("vocab.json", Utf8(ByteLevel()["model"]!["vocab"]!)), ("merges.txt", "#version: 0.2\na b\nab c\n"u8.ToArray()), Settings("abc", "GPT2Tokenizer")],
        "words" => [("vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n##b\n"u8.ToArray()), Settings(null, "BertTokenizer")],
        "fallback" => [("tokenizer.json", Utf8(Fallback())), Settings("</s>", "LlamaTokenizer")],
        "model" => [("tokenizer.model", SentencePieceModel(static text => text is "abc" ? -1 : -3, algorithm: 1)), Settings("</s>", "LlamaTokenizer")],
        "ranks" => [("tokenizer.model", Encoding.UTF8.GetBytes(Ranks())), ("tokenizer_config.json", Utf8(new JsonObject { ["eos_token"] = "<|endoftext|>", ["tokenizer_class"] = "ChatGLM4Tokenizer" }))],
        _ => [("spiece.model", SentencePieceModel(algorithm: 1)), Settings("</s>", "T5Tokenizer")],
    };

    /// <summary>The tokens of <see cref="ByteLevel"/> as tiktoken's ranks.</summary>
    public static string Ranks() =>
        string.Join('\n', Enumerable.Range(0, 256).Select(static value => new[] { (byte)value }).Append("ab"u8.ToArray()).Append("abc"u8.ToArray()).Select(static (token, rank) => $"{Convert.ToBase64String(token)} {rank}"));

    private static (string Name, byte[] Bytes) Settings(string? eos, string type) =>
        ("tokenizer_config.json", Utf8(new JsonObject { ["eos_token"] = eos, ["tokenizer_class"] = type, ["extra_ids"] = 0 }));

    private static byte[] Utf8(JsonNode json) => Encoding.UTF8.GetBytes(json.ToJsonString());

    /// <summary>The pieces of <see cref="SentencePieceJson"/> as tokenizer.model.</summary>
    public static byte[] SentencePieceModel(Func<string, float>? score = null, int algorithm = 2, bool dummyPrefix = true, bool removeExtraWhitespaces = false, string? drop = null, string? twice = null)
    {
        using MemoryStream stream = new();
        using CodedOutputStream output = new(stream);
        foreach ((string text, _) in SentencePieceJson()["model"]!["vocab"]!.AsObject())
        {
            if (text == drop) continue;
            int type = text switch { "<unk>" => 2, "<s>" or "</s>" => 3, ['<', '0', 'x', ..] => 6, _ => 1 };
            Message(output, 1, piece =>
            {
                piece.WriteTag(1, WireFormat.WireType.LengthDelimited);
                piece.WriteString(twice is not null && text == "c" ? twice : text);
                piece.WriteTag(2, WireFormat.WireType.Fixed32);
                piece.WriteFloat(score?.Invoke(text) ?? 0);
                piece.WriteTag(3, WireFormat.WireType.Varint);
                piece.WriteEnum(type);
            });
        }
        Message(output, 2, trainer =>
        {
            trainer.WriteTag(3, WireFormat.WireType.Varint);
            trainer.WriteEnum(algorithm);
        });
        Message(output, 3, normalizer =>
        {
            normalizer.WriteTag(3, WireFormat.WireType.Varint);
            normalizer.WriteBool(dummyPrefix);
            normalizer.WriteTag(4, WireFormat.WireType.Varint);
            normalizer.WriteBool(removeExtraWhitespaces);
        });
        output.Flush();
        return stream.ToArray();
    }

    private static void Message(CodedOutputStream output, int field, Action<CodedOutputStream> write)
    {
        using MemoryStream body = new();
        using (CodedOutputStream inner = new(body, leaveOpen: true)) write(inner);
        output.WriteTag(field, WireFormat.WireType.LengthDelimited);
        output.WriteBytes(ByteString.CopyFrom(body.ToArray()));
    }
}
