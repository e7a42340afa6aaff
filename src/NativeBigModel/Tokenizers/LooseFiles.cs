using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// A folder without tokenizer.json, from before there was one: vocab.json with merges.txt, vocab.txt, or T5's spiece.model. Their rules stand in transformers' code, by class;
/// this writes down the tokenizer.json that transformers converts them to (convert_slow_tokenizer.py), to be read as any other.
/// </summary>
internal static class LooseFiles
{
    private const string ByteLevel = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}""";

    // Who reads vocab.json and merges.txt, and the pre-tokenizer there.
    private static readonly Dictionary<string, Func<bool, JsonNode>> s_bpe = new(StringComparer.Ordinal)
    {
        ["GPT2"] = Gpt2, ["CodeGen"] = Gpt2, ["gpt2"] = Gpt2, ["gptj"] = Gpt2, ["gpt_neo"] = Gpt2, ["codegen"] = Gpt2, ["opt"] = Gpt2, ["phi"] = Gpt2,
        ["Roberta"] = Gpt2, ["Bart"] = Gpt2, ["roberta"] = Gpt2, ["bart"] = Gpt2, ["Qwen2"] = Qwen2, ["qwen2"] = Qwen2, ["qwen2_moe"] = Qwen2, ["qwen3"] = Qwen2, ["qwen3_moe"] = Qwen2,
    };

    private static readonly string[] s_surrounded = ["Roberta", "Bart", "roberta", "bart"];
    private static readonly string[] s_unigram = ["T5", "t5", "mt5"];
    private static readonly string[] s_wordPiece = ["Bert", "bert", "DistilBert", "distilbert", "Electra", "electra", "MobileBert", "mobilebert"];

    /// <summary>The tokenizer.json of vocab.json and merges.txt; null where they are not there.</summary>
    /// <exception cref="UnsupportedModelException">The class that reads them is not known here.</exception>
    public static JsonDocument? Bpe(TokenizerFiles files)
    {
        if (files.ReadText(TokenizerFiles.VocabularyJson) is not { } vocabulary) return null;
        if (files.ReadText(TokenizerFiles.MergesTxt) is not { } merges)
            throw new UnsupportedModelException($"{TokenizerFiles.VocabularyJson}: a vocabulary without {TokenizerFiles.MergesTxt} or {TokenizerFiles.TokenizerJson}");
        string name = Class(files, s_bpe.Keys, TokenizerFiles.VocabularyJson);
        using JsonDocument document = JsonFile.Parse(TokenizerFiles.VocabularyJson, Encoding.UTF8.GetBytes(vocabulary));
        JsonField ids = JsonField.Root(TokenizerFiles.VocabularyJson, document);
        JsonNode tokenizer = new JsonObject
        {
            ["normalizer"] = s_bpe[name] == Qwen2 ? new JsonObject { ["type"] = "NFC" } : null,
            ["pre_tokenizer"] = s_bpe[name](files.Config?.Find("add_prefix_space")?.Flag() is true),
            ["post_processor"] = s_surrounded.Contains(name) ? Around(files, "<s>", "</s>", text => ids.Get(text).Integer()) : null,
            ["model"] = new JsonObject { ["type"] = "BPE", ["merges"] = new JsonArray([.. Lines(merges).Where(IsMerge).Select(line => (JsonNode)line)]) },
        };
        return Compose(tokenizer, vocabulary, TokenizerFiles.VocabularyJson);
    }

    /// <summary>The tokenizer.json of vocab.txt; null where it is not there.</summary>
    /// <exception cref="UnsupportedModelException">The class that reads it is not known here.</exception>
    public static JsonDocument? WordPiece(TokenizerFiles files)
    {
        if (files.ReadText(TokenizerFiles.VocabularyTxt) is not { } text) return null;
        Class(files, s_wordPiece, TokenizerFiles.VocabularyTxt);
        Dictionary<string, int> vocabulary = new(StringComparer.Ordinal);
        foreach ((int id, string line) in Lines(text).Index())
        {
            if (line.Length > 0 && !vocabulary.TryAdd(line, id)) throw new CheckpointException(TokenizerFiles.VocabularyTxt, $"line {id + 1}", $"\"{line}\" stands in line {vocabulary[line] + 1} already");
        }
        JsonNode tokenizer = new JsonObject
        {
            ["normalizer"] = new JsonObject
            {
                ["type"] = "BertNormalizer",
                ["lowercase"] = files.Config?.Find("do_lower_case")?.Flag() is not false,
                ["strip_accents"] = files.Config?.Find("strip_accents")?.Flag(),
                ["handle_chinese_chars"] = files.Config?.Find("tokenize_chinese_chars")?.Flag() is not false,
            },
            ["pre_tokenizer"] = new JsonObject { ["type"] = "BertPreTokenizer" },
            ["post_processor"] = Around(files, "[CLS]", "[SEP]", token => vocabulary.TryGetValue(token, out int id) ? id : throw new CheckpointException(TokenizerFiles.VocabularyTxt, token, "is missing")),
            ["decoder"] = new JsonObject { ["type"] = "WordPiece", ["prefix"] = "##", ["cleanup"] = true },
            ["model"] = new JsonObject { ["type"] = "WordPiece", ["unk_token"] = files.SpecialText("unk_token") ?? "[UNK]", ["continuing_subword_prefix"] = "##", ["max_input_chars_per_word"] = 100 },
        };
        return Compose(tokenizer, new JsonObject([.. vocabulary.Select(token => KeyValuePair.Create(token.Key, (JsonNode?)token.Value))]).ToJsonString(), TokenizerFiles.VocabularyTxt);
    }

    /// <summary>The tokenizer.json of T5's spiece.model; null where it is not there.</summary>
    /// <exception cref="UnsupportedModelException">The class that reads it is not known here.</exception>
    public static JsonDocument? Unigram(TokenizerFiles files)
    {
        if (files.ReadSentencePiece(TokenizerFiles.SentencePieceT5) is not { } bytes) return null;
        Class(files, s_unigram, TokenizerFiles.SentencePieceT5);
        SentencePieceModel model = SentencePieceModel.Parse(bytes);
        if (model.Algorithm != SentencePieceModel.Unigram) throw new UnsupportedModelException($"{TokenizerFiles.SentencePieceT5}: trainer_spec.model_type: {model.Algorithm}, and only {SentencePieceModel.Unigram} (Unigram) is read");
        int Id(TokenKind kind, string text) => model.Pieces.FindIndex(piece => piece.Kind == kind && piece.Text == text) is >= 0 and var id ? id : throw new CheckpointException(TokenizerFiles.SentencePieceT5, text, "is missing");
        string end = files.SpecialText("eos_token") ?? "</s>";
        int extra = files.Config?.Find("extra_ids")?.Integer() ?? 100, first = model.Pieces.Count;
        if (extra is < 0 or > 10_000) throw new CheckpointException("tokenizer_config.json", "extra_ids", $"{extra}, and 0 to 10000 are allowed");
        JsonNode tokenizer = new JsonObject
        {
            ["added_tokens"] = files.Config?.Find("added_tokens_decoder") is null
                ? new JsonArray([.. Enumerable.Range(0, extra).Select(i => new JsonObject { ["id"] = first + extra - 1 - i, ["content"] = $"<extra_id_{i}>", ["special"] = true })])
                : null,
            ["normalizer"] = model.CharacterMap is { } map ? new JsonObject { ["type"] = "Precompiled", ["precompiled_charsmap"] = Convert.ToBase64String(map) } : null,
            ["pre_tokenizer"] = JsonNode.Parse("""{"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, {"type": "Metaspace", "prepend_scheme": "always", "split": true}]}"""),
            ["post_processor"] = new JsonObject
            {
                ["type"] = "TemplateProcessing",
                ["single"] = new JsonArray(new JsonObject { ["Sequence"] = new JsonObject { ["id"] = "A" } }, new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = end } }),
                ["special_tokens"] = new JsonObject { [end] = new JsonObject { ["ids"] = new JsonArray(Id(TokenKind.Control, end)) } },
            },
            ["decoder"] = new JsonObject { ["type"] = "Metaspace" },
            ["model"] = new JsonObject { ["type"] = "Unigram", ["unk_id"] = model.Pieces.FindIndex(piece => piece.Kind is TokenKind.Unknown) },
        };
        JsonArray pieces = new([.. model.Pieces.Select(piece => (JsonNode)new JsonArray(piece.Text, piece.Score))]);
        return Compose(tokenizer, pieces.ToJsonString(), TokenizerFiles.SentencePieceT5);
    }

    // tokenizer_config.json's class without its endings, else the model_type of config.json.
    private static string Class(TokenizerFiles files, IEnumerable<string> known, string file)
    {
        string? name = files.Config?.Find("tokenizer_class")?.Text() is { } given ? given.Replace("Fast", "", StringComparison.Ordinal).Replace("Tokenizer", "", StringComparison.Ordinal) : files.ModelType;
        return name is not null && known.Contains(name)
            ? name
            : throw new UnsupportedModelException($"{file}: a vocabulary without {TokenizerFiles.TokenizerJson}, whose rules are in the code of '{name ?? "an unnamed class"}'; those of {string.Join(", ", known)} are known");
    }

    private static JsonNode Gpt2(bool space) => new JsonObject { ["type"] = "ByteLevel", ["add_prefix_space"] = space, ["use_regex"] = true };

    private static JsonNode Qwen2(bool space) => Split(PreTokenizers.Qwen2);

    /// <summary>A pre_tokenizer of byte-level BPE: one regular expression's matches, and what lies between them.</summary>
    public static JsonObject Split(string rule) => new()
    {
        ["type"] = "Sequence",
        ["pretokenizers"] = new JsonArray(
            new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = rule }, ["behavior"] = "Isolated", ["invert"] = false }, JsonNode.Parse(ByteLevel)),
    };

    private static JsonObject Around(TokenizerFiles files, string first, string last, Func<string, int> id)
    {
        (first, last) = (files.SpecialText("cls_token") ?? first, files.SpecialText("sep_token") ?? last);
        return new() { ["type"] = "BertProcessing", ["cls"] = new JsonArray(first, id(first)), ["sep"] = new JsonArray(last, id(last)) };
    }

    private static IEnumerable<string> Lines(string text) => text.TrimEnd('\n').Split('\n').Select(line => line.TrimEnd('\r'));

    private static bool IsMerge(string line, int number) => line.Length > 0 && !(number == 0 && line.StartsWith("#version", StringComparison.Ordinal));

    /// <summary>The document with a vocabulary. That is set in as it stands, so that what is wrong with it is found where it is read.</summary>
    public static JsonDocument Compose(JsonNode tokenizer, string vocabulary, string file)
    {
        const string place = "\"vocab\":0";
        tokenizer["model"]!["vocab"] = 0;
        string json = tokenizer.ToJsonString();
        int at = json.LastIndexOf(place, StringComparison.Ordinal);
        return JsonFile.Parse(file, Encoding.UTF8.GetBytes($"{json[..at]}\"vocab\":{vocabulary}{json[(at + place.Length)..]}"));
    }
}
