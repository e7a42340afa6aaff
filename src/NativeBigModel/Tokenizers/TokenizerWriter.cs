using System.Text;
using System.Text.Json.Nodes;
using Google.Protobuf;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>The tokenizer of a GGUF file as transformers reads one: tokenizer.json for byte-level BPE, tokenizer.model for SentencePiece BPE, and tokenizer_config.json.</summary>
internal static class TokenizerWriter
{
    /// <summary>Names and contents of the text files; none for a model without a tokenizer.</summary>
    /// <param name="metadata">The file's keys.</param>
    /// <param name="file">Its name.</param>
    /// <param name="pieces">tokenizer.model, where there is one.</param>
    /// <exception cref="UnsupportedModelException">The tokenizer is of another kind, or splits by rules that are not known here.</exception>
    public static IReadOnlyDictionary<string, string> Files(GgufMetadata metadata, string file, out byte[]? pieces)
    {
        pieces = null;
        var keys = new GgufKeys(file, metadata);
        string model = keys.String("tokenizer.ggml.model") ?? "none";
        if (model is "none" or "no_vocab") return new Dictionary<string, string>();
        string[] tokens = keys.Strings("tokenizer.ggml.tokens")!;
        TokenKind[] kinds = [.. (keys.Integers("tokenizer.ggml.token_type") ?? [.. Enumerable.Repeat((int)TokenKind.Normal, tokens.Length)]).Take(tokens.Length).Select(kind => (TokenKind)kind)];
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        switch (model)
        {
            case "gpt2":
                PreTokenizer words = PreTokenizers.Find(keys.String("tokenizer.ggml.pre"))
                    ?? throw new UnsupportedModelException($"{file}: tokenizer.ggml.pre: the rules of '{keys.String("tokenizer.ggml.pre")}' are not known here");
                TextRules rules = TextRules.Read(keys, tokens.Length) ?? TextRules.ImpliedBy(words)!;
                files["tokenizer.json"] = ByteLevel(keys, tokens, kinds, words, rules).ToJsonString();
                break;
            case "llama":
                pieces = SentencePiece(keys, tokens, kinds);
                break;
            default:
                throw new UnsupportedModelException($"{file}: tokenizer.ggml.model: '{model}' is not written as a folder; gpt2 and llama are");
        }
        files["tokenizer_config.json"] = Config(keys, tokens, model).ToJsonString();
        return files;
    }

    private static JsonObject Config(GgufKeys keys, string[] tokens, string model)
    {
        var config = new JsonObject
        {
            ["tokenizer_class"] = model == "llama" ? "LlamaTokenizer" : "PreTrainedTokenizerFast",
            ["clean_up_tokenization_spaces"] = false,
            ["add_bos_token"] = keys.Flag("tokenizer.ggml.add_bos_token") ?? model == "llama",
            ["add_eos_token"] = keys.Flag("tokenizer.ggml.add_eos_token") ?? false,
        };
        foreach ((string name, string key) in ((string, string)[])[("bos_token", "bos"), ("eos_token", "eos"), ("unk_token", "unknown"), ("pad_token", "padding")])
        {
            if (keys.Long($"tokenizer.ggml.{key}_token_id") is { } id && id < tokens.Length) config[name] = tokens[id];
        }
        if (keys.String("tokenizer.chat_template") is { } template) config["chat_template"] = template;
        return config;
    }

    private static JsonObject ByteLevel(GgufKeys keys, string[] tokens, TokenKind[] kinds, PreTokenizer words, TextRules rules)
    {
        var vocabulary = new JsonObject();
        var added = new JsonArray();
        for (int id = 0; id < tokens.Length; id++)
        {
            // A row of the embedding that no text leads to.
            if (kinds[id] == TokenKind.Unused) continue;
            vocabulary[tokens[id]] = id;
            if (kinds[id] is TokenKind.Control or TokenKind.UserDefined or TokenKind.Unknown) added.Add((JsonNode)AddedToken(id, tokens[id], kinds[id] != TokenKind.UserDefined, rules));
        }
        var merges = new JsonArray([.. (keys.Strings("tokenizer.ggml.merges") ?? []).Select(merge => (JsonNode)new JsonArray([.. Halves(merge).Select(half => (JsonNode)half)]))]);
        return new()
        {
            ["version"] = "1.0",
            ["truncation"] = null,
            ["padding"] = null,
            ["added_tokens"] = added,
            ["normalizer"] = rules.Normalizer is { } normalizer ? JsonNode.Parse(normalizer) : null,
            ["pre_tokenizer"] = PreTokenizer(words, rules),
            ["post_processor"] = Surroundings(keys, tokens, words, rules),
            ["decoder"] = ByteLevelPart(false, true),
            ["model"] = new JsonObject
            {
                ["type"] = "BPE", ["dropout"] = null, ["unk_token"] = null, ["continuing_subword_prefix"] = null, ["end_of_word_suffix"] = null,
                ["fuse_unk"] = false, ["byte_fallback"] = false, ["ignore_merges"] = words.IgnoreMerges, ["vocab"] = vocabulary, ["merges"] = merges,
            },
        };
    }

    // A half may begin with a space in no vocabulary of bytes.
    private static string[] Halves(string merge)
    {
        int at = merge.IndexOf(' ', 1);
        return [merge[..at], merge[(at + 1)..]];
    }

    private static JsonObject AddedToken(int id, string text, bool special, TextRules rules) => new()
    {
        ["id"] = id, ["content"] = text, ["single_word"] = rules.WholeWord.Contains(id), ["lstrip"] = rules.TrimBefore.Contains(id), ["rstrip"] = rules.TrimAfter.Contains(id),
        ["normalized"] = rules.Normalized.Contains(id), ["special"] = special,
    };

    private static JsonObject PreTokenizer(PreTokenizer words, TextRules rules)
    {
        string[] each = words.Rules.Split('\n');
        List<JsonObject> parts = [.. each.Select(rule => Part(rule, rules.Space == SpacePrefix.ByteLevel))];
        if (!each.Contains(SplittingRules.Gpt2)) parts.Add(ByteLevelPart(rules.Space == SpacePrefix.ByteLevel, false));
        return parts is [var only] ? only : new() { ["type"] = "Sequence", ["pretokenizers"] = new JsonArray([.. parts]) };
    }

    private static JsonObject Part(string rule, bool space) => rule switch
    {
        SplittingRules.Gpt2 => ByteLevelPart(space, true),
        SplittingRules.EachDigit => new() { ["type"] = "Digits", ["individual_digits"] = true },
        SplittingRules.DigitRuns => new() { ["type"] = "Digits", ["individual_digits"] = false },
        SplittingRules.PunctuationRuns => new() { ["type"] = "Punctuation", ["behavior"] = "Contiguous" },
        SplittingRules.EachPunctuation => new() { ["type"] = "Punctuation", ["behavior"] = "Isolated" },
        _ => new() { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = rule }, ["behavior"] = "Isolated", ["invert"] = false },
    };

    private static JsonObject ByteLevelPart(bool space, bool regex) => new() { ["type"] = "ByteLevel", ["add_prefix_space"] = space, ["trim_offsets"] = true, ["use_regex"] = regex };

    private static JsonObject? Surroundings(GgufKeys keys, string[] tokens, PreTokenizer words, TextRules rules)
    {
        (IReadOnlyList<int> before, IReadOnlyList<int> after) = (rules.Leading, rules.Trailing);
        if (rules.EngineSurrounds)
        {
            int[] One(string id, string flag, bool otherwise) =>
                (keys.Flag($"tokenizer.ggml.{flag}") ?? otherwise) && keys.Long($"tokenizer.ggml.{id}_token_id") is { } known && known < tokens.Length ? [(int)known] : [];
            (before, after) = (One("bos", "add_bos_token", words.AddsBos), One("eos", "add_eos_token", false));
        }
        if (before.Count + after.Count == 0) return null;
        JsonNode Token(int id) => new JsonObject { ["SpecialToken"] = new JsonObject { ["id"] = tokens[id], ["type_id"] = 0 } };
        JsonNode Text(string name) => new JsonObject { ["Sequence"] = new JsonObject { ["id"] = name, ["type_id"] = 0 } };
        var special = new JsonObject();
        foreach (int id in before.Concat(after).Distinct()) special[tokens[id]] = new JsonObject { ["id"] = tokens[id], ["ids"] = new JsonArray(id), ["tokens"] = new JsonArray(tokens[id]) };
        JsonArray Template(params ReadOnlySpan<string> names)
        {
            List<JsonNode> all = [];
            foreach (string name in names) all.AddRange([.. before.Select(Token), Text(name), .. after.Select(Token)]);
            return [.. all];
        }
        return new() { ["type"] = "TemplateProcessing", ["single"] = Template("A"), ["pair"] = Template("A", "B"), ["special_tokens"] = special };
    }

    // sentencepiece_model.proto: pieces, trainer_spec and normalizer_spec.
    private static byte[] SentencePiece(GgufKeys keys, string[] tokens, TokenKind[] kinds)
    {
        float[] scores = keys.Floats("tokenizer.ggml.scores") ?? new float[tokens.Length];
        return Message(to =>
        {
            for (int id = 0; id < tokens.Length; id++)
            {
                (string text, float score, TokenKind kind) = (tokens[id], scores[id], kinds[id]);
                Field(to, 1, Message(piece =>
                {
                    Field(piece, 1, Encoding.UTF8.GetBytes(text));
                    piece.WriteTag(2, WireFormat.WireType.Fixed32);
                    piece.WriteFloat(score);
                    Field(piece, 3, (int)kind);
                }));
            }
            Field(to, 2, Message(trainer =>
            {
                Field(trainer, 3, 2); // model_type: BPE
                Field(trainer, 4, tokens.Length);
                Field(trainer, 35, 1); // byte_fallback
                foreach ((int field, string id) in ((int, string)[])[(40, "unknown"), (41, "bos"), (42, "eos"), (43, "padding")])
                    Field(trainer, field, keys.Long($"tokenizer.ggml.{id}_token_id") is { } known && known < tokens.Length ? (int)known : -1);
            }));
            Field(to, 3, Message(normalizer =>
            {
                Field(normalizer, 1, "identity"u8.ToArray());
                Field(normalizer, 3, keys.Flag("tokenizer.ggml.add_space_prefix") ?? true ? 1 : 0); // add_dummy_prefix
                Field(normalizer, 4, 0); // remove_extra_whitespaces
                Field(normalizer, 5, 1); // escape_whitespaces
            }));
        });
    }

    private static byte[] Message(Action<CodedOutputStream> write)
    {
        using var stream = new MemoryStream();
        using (var to = new CodedOutputStream(stream, leaveOpen: true)) write(to);
        return stream.ToArray();
    }

    private static void Field(CodedOutputStream to, int number, byte[] bytes)
    {
        to.WriteTag(number, WireFormat.WireType.LengthDelimited);
        to.WriteBytes(ByteString.CopyFrom(bytes));
    }

    private static void Field(CodedOutputStream to, int number, int value)
    {
        to.WriteTag(number, WireFormat.WireType.Varint);
        to.WriteInt32(value);
    }
}
