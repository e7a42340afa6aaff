using System.Text;
using System.Text.Json.Nodes;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class HostileTokenizerTests
{
    public static TheoryData<string> Json() => [.. s_json.Keys];

    public static TheoryData<string> Settings() => [.. s_settings.Keys];

    public static TheoryData<string> Models() => [.. s_models.Keys];

    public static TheoryData<string> Others() => [.. s_others.Keys];

    public static TheoryData<string> Loose() => [.. s_loose.Keys];

    [Theory]
    [MemberData(nameof(Json))]
    public void A_malformed_tokenizer_json_is_refused_by_name(string spoilt)
    {
        JsonNode json = Samples.ByteLevel();
        string text = s_json[spoilt](json) ?? json.ToJsonString();
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", text);

        Refused(folder, "tokenizer.json");
    }

    [Theory]
    [MemberData(nameof(Settings))]
    public void A_malformed_settings_file_is_refused_by_name(string spoilt)
    {
        (string file, string text) = s_settings[spoilt];
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", Samples.ByteLevel()).With(file, text);

        Refused(folder, file);
    }

    [Theory]
    [MemberData(nameof(Models))]
    public void A_malformed_tokenizer_model_is_refused_by_name(string spoilt)
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.model", s_models[spoilt]());

        Refused(folder, "tokenizer.model", Samples.SentencePieceSize);
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void A_malformed_tokenizer_of_another_kind_is_refused_by_name(string spoilt)
    {
        (Func<JsonNode> sample, Func<JsonNode, object?> spoil) = s_others[spoilt];
        JsonNode json = sample();
        spoil(json);
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json);

        Refused(folder, "tokenizer.json", Samples.SentencePieceSize);
    }

    [Theory]
    [MemberData(nameof(Loose))]
    public void Malformed_files_from_before_tokenizer_json_are_refused_by_name(string spoilt)
    {
        (string file, (string Name, string Text)[] files) = s_loose[spoilt];
        using TokenizerFolder folder = new();
        foreach ((string name, string text) in files) folder.With(name, text);

        Refused(folder, file);
    }

    [Fact]
    public void Merges_that_go_in_circles_end()
    {
        JsonNode json = Samples.ByteLevel();
        json["model"]!["vocab"]!["ba"] = 260;
        json["model"]!["merges"] = JsonNode.Parse("""["ab c", "a b", "b a", "a b", "ab c", "b a"]""");
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json);

        Assert.Equal(["a b", "ab c", "b a"], folder.Read(Samples.ByteLevelSize).Merges!);
    }

    [Fact]
    public void No_byte_of_a_model_brings_another_error_when_cut_off_there()
    {
        byte[] model = Samples.SentencePieceModel();
        for (int length = 0; length < model.Length; length += 7)
        {
            using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.model", model[..length]);
            Exception? error = Record.Exception(() => folder.Read(Samples.SentencePieceSize));
            Assert.True(error is null or BigModelException, $"{length}: {error}");
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(int.MaxValue)]
    public void A_vocabulary_size_that_no_model_has_allocates_nothing(int size)
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", Samples.ByteLevel());

        Assert.Contains($"{size}", Assert.Throws<CheckpointException>(() => folder.Read(size)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_token_beyond_the_model_is_refused_with_both_numbers()
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", Samples.ByteLevel());

        string message = Assert.Throws<CheckpointException>(() => folder.Read(258)).Message;

        Assert.Contains("258", message, StringComparison.Ordinal);
        Assert.Contains("259", Assert.Throws<CheckpointException>(() => folder.Read(259)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_id_of_the_model_configuration_beyond_the_model_is_refused()
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", Samples.ByteLevel());

        Assert.Contains("999", Assert.Throws<CheckpointException>(() => folder.Read(Samples.ByteLevelSize, new(null, 999, null))).Message, StringComparison.Ordinal);
        Assert.Null(folder.Read(Samples.ByteLevelSize, new(-1, -1, 999)).PaddingId);
    }

    [Fact]
    public void A_token_of_a_megabyte_costs_no_square()
    {
        JsonNode json = Samples.SentencePieceJson();
        json["model"]!["vocab"]![new string('a', 1 << 20)] = Samples.SentencePieceSize;
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json);

        Assert.Equal(TokenKind.Normal, folder.Read(Samples.SentencePieceSize + 1).Kinds[Samples.SentencePieceSize]);
    }

    private static void Refused(TokenizerFolder folder, string file, int size = Samples.ByteLevelSize)
    {
        Exception? error = Record.Exception(() => folder.Read(size));

        Assert.True(error is CheckpointException or UnsupportedModelException, $"{error?.ToString() ?? "accepted"}");
        Assert.Contains(file, error!.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error.Message);
    }

    private static readonly Dictionary<string, Func<JsonNode, string?>> s_json = new()
    {
        ["empty"] = _ => "",
        ["an array"] = _ => "[]",
        ["null"] = _ => "null",
        ["cut off"] = json => json.ToJsonString()[..500],
        ["deep"] = _ => string.Concat(Enumerable.Repeat("[", 100)),
        ["no model"] = json => Do(json.AsObject().Remove("model")),
        ["model a list"] = json => Do(json["model"] = new JsonArray()),
        ["no vocab"] = json => Do(json["model"]!.AsObject().Remove("vocab")),
        ["vocab a list"] = json => Do(json["model"]!["vocab"] = new JsonArray()),
        ["id a string"] = json => Do(json["model"]!["vocab"]!["ab"] = "256"),
        ["id negative"] = json => Do(json["model"]!["vocab"]!["ab"] = -1),
        ["id a fraction"] = json => Do(json["model"]!["vocab"]!["ab"] = 1.5),
        ["id huge"] = json => json.ToJsonString().Replace("\"ab\":256", "\"ab\":99999999999999999999", StringComparison.Ordinal),
        ["id beyond the model"] = json => Do(json["model"]!["vocab"]!["ab"] = Samples.ByteLevelSize),
        ["id twice"] = json => Do(json["model"]!["vocab"]!["ab"] = 97),
        ["token twice"] = json => json.ToJsonString().Replace("\"ab\":256", "\"ab\":256,\"ab\":260", StringComparison.Ordinal),
        ["token with a lone surrogate"] = json => json.ToJsonString().Replace("\"ab\":256", "\"\\ud800\":256", StringComparison.Ordinal),
        ["token with NUL"] = json => Do(json["model"]!["vocab"]!["x\0y"] = 260),
        ["added token with a lone surrogate"] = json => json.ToJsonString().Replace("\\u003Ctool\\u003E", "\\udc00", StringComparison.Ordinal),
        ["merges missing"] = json => Do(json["model"]!.AsObject().Remove("merges")),
        ["merges an object"] = json => Do(json["model"]!["merges"] = new JsonObject()),
        ["merge of three"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add("a b c")),
        ["merge of one"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add("ab")),
        ["merge a triple"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add(new JsonArray("a", "b", "c"))),
        ["merge a number"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add(3)),
        ["merge of unknown parts"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add("xy z")),
        ["merge to an unknown token"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add("y z")),
        ["merge with an empty part"] = json => Do(() => json["model"]!["merges"]!.AsArray().Add(" a")),
        ["added tokens an object"] = json => Do(json["added_tokens"] = new JsonObject()),
        ["added token without id"] = json => Do(json["added_tokens"]![0]!.AsObject().Remove("id")),
        ["added token id negative"] = json => Do(json["added_tokens"]![0]!["id"] = -5),
        ["added token id beyond the model"] = json => Do(json["added_tokens"]![0]!["id"] = 300000),
        ["added token on another's id"] = json => Do(json["added_tokens"]![0]!["id"] = 97),
        ["added token of another id"] = json => Do(json["added_tokens"]![0]!["content"] = "ab"),
        ["added token content a number"] = json => Do(json["added_tokens"]![0]!["content"] = 1),
        ["special a string"] = json => Do(json["added_tokens"]![0]!["special"] = "yes"),
        ["normalizer without pattern"] = json => Do(json["normalizer"] = new JsonObject { ["type"] = "Replace", ["content"] = "x" }),
        ["normalizer with an empty pattern"] = json => Do(json["normalizer"] = JsonNode.Parse("""{"type": "Replace", "pattern": {"String": ""}, "content": "x"}""")),
        ["normalizer with a regular expression"] = json => Do(json["normalizer"] = JsonNode.Parse("""{"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": "x"}""")),
        ["character map not Base64"] = json => Do(json["normalizer"] = JsonNode.Parse("""{"type": "Precompiled", "precompiled_charsmap": "*"}""")),
        ["character map cut off"] = json => Do(json["normalizer"] = JsonNode.Parse("""{"type": "Precompiled", "precompiled_charsmap": "BAAAAAAA"}""")),
        ["model Unigram"] = json => Do(json["model"]!["type"] = "Unigram"),
        ["model type a number"] = json => Do(json["model"]!["type"] = 5),
        ["dropout"] = json => Do(json["model"]!["dropout"] = 0.1),
        ["suffix"] = json => Do(json["model"]!["end_of_word_suffix"] = "</w>"),
        ["pre-tokenizer without type"] = json => Do(json["pre_tokenizer"] = new JsonObject()),
        ["pre-tokenizer with an invalid expression"] = json => Do(json["pre_tokenizer"] = JsonNode.Parse("""
            {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a"}, "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}
            """)),
        ["pre-tokenizers nested in pre-tokenizers"] = json => json.ToJsonString().Replace("\"pre_tokenizer\":{", "\"pre_tokenizer\":" + string.Concat(Enumerable.Repeat("{\"type\":\"Sequence\",\"pretokenizers\":[", 60)) + "{", StringComparison.Ordinal),
        ["pre-tokenizer unknown"] = json => Do(json["pre_tokenizer"]!["type"] = "Whitespace"),
        ["normalizer unknown"] = json => Do(json["normalizer"] = new JsonObject { ["type"] = "Sparkle" }),
        ["post-processor unknown"] = json => Do(json["post_processor"] = new JsonObject { ["type"] = "X" }),
        ["template without text"] = json => Do(json["post_processor"] = JsonNode.Parse("""{"type": "TemplateProcessing", "single": [], "special_tokens": {} }""")),
        ["template token beyond the model"] = json => Do(json["post_processor"] = JsonNode.Parse("""
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"x": {"ids": [1000000]} } }
            """)),
    };

    private static readonly Dictionary<string, (Func<JsonNode> Sample, Func<JsonNode, object?> Spoil)> s_others = new()
    {
        ["Unigram: vocab an object"] = (Samples.Unigram, json => json["model"]!["vocab"] = new JsonObject()),
        ["Unigram: a piece without a score"] = (Samples.Unigram, json => json["model"]!["vocab"]![3] = new JsonArray("a")),
        ["Unigram: a score beyond 32 bits"] = (Samples.Unigram, json => json["model"]!["vocab"]![3]![1] = 1e300),
        ["Unigram: a piece twice"] = (Samples.Unigram, json => json["model"]!["vocab"]![3]![0] = "\u2581"),
        ["Unigram: more pieces than the model has tokens"] = (Samples.Unigram, json => json["model"]!["vocab"] = new JsonArray([.. Enumerable.Range(0, 400).Select(i => new JsonArray($"x{i}", -1.0))])),
        ["Unigram: no unknown token"] = (Samples.Unigram, json => json["model"]!.AsObject().Remove("unk_id")),
        ["Unigram: unknown token beyond the vocabulary"] = (Samples.Unigram, json => json["model"]!["unk_id"] = 70000),
        ["Unigram: byte fallback"] = (Samples.Unigram, json => json["model"]!["byte_fallback"] = true),
        ["Unigram: no token for a space"] = (Samples.Unigram, json => json["model"]!["vocab"]![2]![0] = "q"),
        ["Unigram: spaces stay"] = (Samples.Unigram, json => json["pre_tokenizer"] = null),
        ["WordPiece: vocab a list"] = (Samples.WordPiece, json => json["model"]!["vocab"] = new JsonArray()),
        ["WordPiece: no unknown token"] = (Samples.WordPiece, json => json["model"]!.AsObject().Remove("unk_token")),
        ["WordPiece: unknown token not in the vocabulary"] = (Samples.WordPiece, json => json["model"]!["unk_token"] = "[WHAT]"),
        ["WordPiece: two tokens that llama.cpp takes for one"] = (Samples.WordPiece, json => json["model"]!["vocab"]!["##\u2581a"] = 9),
        ["WordPiece: another pre-tokenizer"] = (Samples.WordPiece, json => json["pre_tokenizer"]!["type"] = "Whitespace"),
        ["WordPiece: no normalizer"] = (Samples.WordPiece, json => json["normalizer"] = null),
        ["WordPiece: control characters stay"] = (Samples.WordPiece, json => json["normalizer"]!["clean_text"] = false),
        ["WordLevel"] = (Samples.WordPiece, json => json["model"]!["type"] = "WordLevel"),
    };

    private static readonly Dictionary<string, (string File, (string Name, string Text)[] Files)> s_loose = new()
    {
        ["no merges"] = ("vocab.json", [("vocab.json", """{"a": 0}""")]),
        ["an unnamed class"] = ("vocab.json", [("vocab.json", """{"a": 0}"""), ("merges.txt", "")]),
        ["an unknown class"] = ("vocab.json", [("vocab.json", """{"a": 0}"""), ("merges.txt", ""), ("tokenizer_config.json", """{"tokenizer_class": "WhisperTokenizer"}""")]),
        ["vocab.json a list"] = ("vocab.json", [("vocab.json", "[]"), ("merges.txt", ""), ("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer"}""")]),
        ["vocab.json cut off"] = ("vocab.json", [("vocab.json", """{"a": 0"""), ("merges.txt", ""), ("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer"}""")]),
        ["a vocabulary that closes more than it opened"] = ("vocab.json", [("vocab.json", """{"a": 0}, "merges": []"""), ("merges.txt", ""), ("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer"}""")]),
        ["a merge of three"] = ("vocab.json", [("vocab.json", """{"a": 0}"""), ("merges.txt", "#version: 0.2\na a a"), ("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer"}""")]),
        ["an id beyond the model"] = ("vocab.json", [("vocab.json", """{"a": 4000}"""), ("merges.txt", ""), ("tokenizer_config.json", """{"tokenizer_class": "GPT2Tokenizer"}""")]),
        ["vocab.txt of an unnamed class"] = ("vocab.txt", [("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na")]),
        ["vocab.txt without separator"] = ("vocab.txt", [("vocab.txt", "[UNK]\n[CLS]\na"), ("tokenizer_config.json", """{"tokenizer_class": "BertTokenizer"}""")]),
        ["a line twice"] = ("vocab.txt", [("vocab.txt", "[UNK]\n[CLS]\n[SEP]\na\na"), ("tokenizer_config.json", """{"tokenizer_class": "BertTokenizer"}""")]),
        ["more lines than the model has tokens"] = ("vocab.txt", [("vocab.txt", "[UNK]\n[CLS]\n[SEP]\n" + string.Join('\n', Enumerable.Range(0, 300).Select(i => $"t{i}"))), ("tokenizer_config.json", """{"tokenizer_class": "BertTokenizer"}""")]),
        ["spiece.model of no class"] = ("spiece.model", [("spiece.model", "x")]),
        ["spiece.model of nothing"] = ("tokenizer.model", [("spiece.model", "x"), ("tokenizer_config.json", """{"tokenizer_class": "T5Tokenizer"}""")]),
    };

    private static readonly Dictionary<string, (string File, string Text)> s_settings = new()
    {
        ["config not JSON"] = ("tokenizer_config.json", "{"),
        ["config a list"] = ("tokenizer_config.json", "[]"),
        ["config invalid UTF-8 name"] = ("tokenizer_config.json", """{"\ud800": 1, "\ud800x": 2, "bos_token": 4}"""),
        ["bos a number"] = ("tokenizer_config.json", """{"bos_token": 1}"""),
        ["eos a list"] = ("tokenizer_config.json", """{"eos_token": ["a"]}"""),
        ["eos without content"] = ("tokenizer_config.json", """{"eos_token": {"lstrip": false} }"""),
        ["add_bos_token a string"] = ("tokenizer_config.json", """{"bos_token": "ab", "add_bos_token": "true"}"""),
        ["template a number"] = ("tokenizer_config.json", """{"chat_template": 1}"""),
        ["template without name"] = ("tokenizer_config.json", """{"chat_template": [{"template": "x"}]}"""),
        ["decoder key no number"] = ("tokenizer_config.json", """{"added_tokens_decoder": {"+3": {"content": "x"} } }"""),
        ["decoder id beyond the model"] = ("tokenizer_config.json", """{"added_tokens_decoder": {"70000": {"content": "xyz"} } }"""),
        ["map a string"] = ("special_tokens_map.json", "\"x\""),
        ["map bos a number"] = ("special_tokens_map.json", """{"bos_token": 7}"""),
        ["generation eos a string"] = ("generation_config.json", """{"eos_token_id": "2"}"""),
        ["generation eos beyond the model"] = ("generation_config.json", """{"eos_token_id": [261]}"""),
        ["added id a string"] = ("added_tokens.json", """{"xyz": "1"}"""),
        ["added id beyond the model"] = ("added_tokens.json", """{"xyz": 261}"""),
    };

    private static readonly Dictionary<string, Func<byte[]>> s_models = new()
    {
        ["empty"] = () => [],
        ["text"] = () => Encoding.ASCII.GetBytes("IQ== 0\nIg== 1\n"),
        ["cut off"] = () => Samples.SentencePieceModel()[..^3],
        ["length of two gigabytes"] = () => [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x07],
        ["length negative"] = () => [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
        ["varint without end"] = () => [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        ["field zero"] = () => [0x02, 0x01, 0x00],
        ["groups without end"] = () => [.. Enumerable.Repeat((byte)0x0B, 10_000)],
        ["piece of invalid UTF-8"] = () => [0x0A, 0x03, 0x0A, 0x01, 0xFF],
        ["piece longer than its message"] = () => [0x0A, 0x03, 0x0A, 0x7F, 0x41],
        ["piece with NUL"] = () => Samples.SentencePieceModel(twice: "c\0"),
        ["piece twice"] = () => Samples.SentencePieceModel(twice: "ab"),
        ["score NaN"] = () => Samples.SentencePieceModel(text => text is "ab" ? float.NaN : 0),
        ["score infinite"] = () => Samples.SentencePieceModel(text => text is "ab" ? float.NegativeInfinity : 0),
        ["type 9"] = () => [0x0A, 0x05, 0x0A, 0x01, 0x41, 0x18, 0x09],
        ["byte piece without a byte"] = () => [0x0A, 0x05, 0x0A, 0x01, 0x41, 0x18, 0x06],
        ["words"] = () => Samples.SentencePieceModel(algorithm: 3),
        ["extra white space removed"] = () => Samples.SentencePieceModel(removeExtraWhitespaces: true),
        ["byte missing"] = () => Samples.SentencePieceModel(drop: "<0x7F>"),
    };

    private static string? Do(object? _) => null;

    private static string? Do(Action change)
    {
        change();
        return null;
    }
}
