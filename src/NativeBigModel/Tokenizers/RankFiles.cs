using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// Vocabularies of tiktoken: a line for each token, its bytes in base64 and its rank, which is its id. Two neighbours in a word join where together they are a token, the lowest
/// rank first, the left pair of equals. Rules and special tokens stand in the models' own code; this writes down the tokenizer.json of the same ids.
/// </summary>
internal static class RankFiles
{
    public const string QwenTiktoken = "qwen.tiktoken";
    public const string TiktokenModel = "tiktoken.model";

    private const int LongestToken = 512;
    private const long MostPairs = 1 << 26; // of the published ones, none comes to a third

    /// <summary>The file's name and the tokenizer.json of it; null where there is none.</summary>
    /// <exception cref="CheckpointException">It is malformed.</exception>
    /// <exception cref="UnsupportedModelException">The code that reads it is not known here.</exception>
    public static (string File, JsonDocument Tokenizer)? Read(TokenizerFiles files)
    {
        string? type = files.Config?.Find("tokenizer_class")?.Text();
        if (files.Has(QwenTiktoken)) return Read(files, QwenTiktoken, type is "QWenTokenizer", Qwen);
        if (files.Has(TiktokenModel)) return Read(files, TiktokenModel, Module(files) is "tokenization_kimi" or "tokenization_moonshot", first => Kimi(files, first));
        return files.Has(TokenizerFiles.SentencePiece) && type is "ChatGLM4Tokenizer" ? Read(files, TokenizerFiles.SentencePiece, true, Glm4) : null;
    }

    private static (string File, JsonDocument Tokenizer) Read(TokenizerFiles files, string file, bool known, Func<int, JsonObject> rules)
    {
        if (!known) throw new UnsupportedModelException($"{file}: ranks without {TokenizerFiles.TokenizerJson}, whose rules are in code; that of Qwen, Kimi, Moonlight and GLM-4 is known");
        string[] tokens = Tokens(file, files.ReadText(file)!);
        JsonObject tokenizer = rules(tokens.Length);
        tokenizer["model"] = new JsonObject { ["type"] = "BPE", ["ignore_merges"] = true, ["merges"] = Merges(file, tokens) };
        return (file, LooseFiles.Compose(tokenizer, Vocabulary(tokens), file));
    }

    // tokenization_qwen.py
    private static JsonObject Qwen(int first)
    {
        string[] special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", .. Enumerable.Range(0, 205).Select(static i => $"<|extra_{i}|>")];
        return new()
        {
            ["added_tokens"] = Special(special.Select((name, i) => (name, first + i))),
            ["normalizer"] = new JsonObject { ["type"] = "NFC" },
            ["pre_tokenizer"] = LooseFiles.Split(PreTokenizers.Qwen2),
        };
    }

    // tokenization_kimi.py: 256 special tokens, of which tokenizer_config.json names some.
    private static JsonObject Kimi(TokenizerFiles files, int first)
    {
        HashSet<string> named = [.. files.Config?.Find("added_tokens_decoder")?.Entries().Select(static token => token.Name) ?? []];
        return new()
        {
            ["added_tokens"] = Special(Enumerable.Range(first, 256).Where(id => !named.Contains(id.ToString(CultureInfo.InvariantCulture))).Select(static id => ($"<|reserved_token_{id}|>", id))),
            ["pre_tokenizer"] = LooseFiles.Split(PreTokenizers.Kimi),
        };
    }

    // tokenization_chatglm.py of GLM-4: what is not in tokenizer_config.json besides is no spelling of a token.
    private static JsonObject Glm4(int first) => new()
    {
        ["pre_tokenizer"] = LooseFiles.Split(PreTokenizers.Llama3),
        ["post_processor"] = JsonNode.Parse($$$"""
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[gMASK]"}}, {"SpecialToken": {"id": "<sop>"}}, {"Sequence": {"id": "A"}}],
             "special_tokens": {"[gMASK]": {"ids": [{{{first + 2}}}]}, "<sop>": {"ids": [{{{first + 4}}}]} } }
            """),
    };

    private static JsonArray Special(IEnumerable<(string Name, int Id)> tokens) =>
        new([.. tokens.Select(static token => new JsonObject { ["id"] = token.Id, ["content"] = token.Name, ["special"] = true })]);

    private static string? Module(TokenizerFiles files)
    {
        if (files.Config?.Find("auto_map")?.Find("AutoTokenizer") is not { } map) return null;
        string code = map.IsArray ? map.Items().FirstOrDefault() is { IsString: true } first ? first.Text() : "" : map.Text();
        return code.Split("--")[^1].Split('.')[0]; // before "--" another repository may stand
    }

    // By rank, spelt in the byte alphabet.
    private static string[] Tokens(string file, string text)
    {
        string[] lines = [.. text.Split('\n').Select(static line => line.Trim()).Where(static line => line.Length > 0)];
        string?[] tokens = new string?[lines.Length];
        byte[] bytes = new byte[LongestToken];
        for (int i = 0; i < lines.Length; i++)
        {
            int space = lines[i].IndexOf(' ', StringComparison.Ordinal);
            if (space < 0 || !int.TryParse(lines[i].AsSpan(space + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int rank)) throw Error("not a token in base64 and its rank");
            if (!Convert.TryFromBase64Chars(lines[i].AsSpan(0, space), bytes, out int length) || length == 0) throw Error($"not a token in base64 of 1 to {LongestToken} bytes");
            if (rank >= tokens.Length) throw Error($"rank {rank}, and there are {tokens.Length} tokens");
            if (tokens[rank] is not null) throw Error($"rank {rank} a second time");
            tokens[rank] = string.Create(length, bytes, static (letters, bytes) =>
            {
                for (int at = 0; at < letters.Length; at++) letters[at] = ByteAlphabet.OfByte(bytes[at]);
            });

            CheckpointException Error(string what) => new(file, $"line {i + 1}", what);
        }
        return tokens!;
    }

    private static JsonArray Merges(string file, string[] tokens)
    {
        long pairs = tokens.Sum(static token => (long)token.Length * token.Length);
        if (pairs > MostPairs) throw new CheckpointException(file, "length of its tokens", $"{pairs} when squared, and at most {MostPairs} is read");
        Dictionary<string, int> ranks = new(tokens.Length, StringComparer.Ordinal);
        for (int rank = 0; rank < tokens.Length; rank++)
        {
            if (!ranks.TryAdd(tokens[rank], rank)) throw new CheckpointException(file, $"rank {rank}", $"the token of rank {ranks[tokens[rank]]} again");
        }
        Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> find = ranks.GetAlternateLookup<ReadOnlySpan<char>>();
        JsonArray merges = [];
        for (int rank = 0; rank < tokens.Length; rank++)
        {
            if (LastJoin(find, tokens[rank], rank) is { } at) merges.Add((JsonNode)$"{tokens[rank][..at]} {tokens[rank][at..]}");
        }
        return merges;
    }

    // Where the two parts meet to which lower ranks lead; none where it is a single byte, or a token that is only found as a whole word.
    private static int? LastJoin(Dictionary<string, int>.AlternateLookup<ReadOnlySpan<char>> ranks, string token, int rank)
    {
        List<int> starts = [.. Enumerable.Range(0, token.Length + 1)];
        while (true)
        {
            (int lowest, int at) = (rank, -1);
            for (int i = 0; i + 2 < starts.Count; i++)
            {
                if (ranks.TryGetValue(token.AsSpan(starts[i]..starts[i + 2]), out int found) && found < lowest) (lowest, at) = (found, i + 1);
            }
            if (at < 0) return starts.Count == 3 ? starts[1] : null;
            starts.RemoveAt(at);
        }
    }

    private static string Vocabulary(string[] tokens)
    {
        using MemoryStream stream = new();
        using (Utf8JsonWriter writer = new(stream))
        {
            writer.WriteStartObject();
            for (int id = 0; id < tokens.Length; id++) writer.WriteNumber(tokens[id], id);
            writer.WriteEndObject();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }
}
