using System.Text.Json.Nodes;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class SentencePieceBpeTests
{
    private static readonly Func<string, float> s_scores = text => text switch { "bc" => 0, "ab" => -1, "abc" => -2, _ => -3 };

    private static Vocabulary FromJson(Action<JsonNode>? change = null)
    {
        JsonNode json = Samples.SentencePieceJson();
        change?.Invoke(json);
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json).With("tokenizer_config.json", Samples.Config());
        return folder.Read(Samples.SentencePieceSize);
    }

    [Fact]
    public void Merges_stand_in_for_scores_where_there_is_no_tokenizer_model()
    {
        Vocabulary vocabulary = FromJson();

        Assert.Equal(("gpt2", TextPreparation.Lines), (vocabulary.Model, vocabulary.PreTokenizer));
        Assert.Equal(["b c", "a b", "ab c", "a bc"], vocabulary.Merges!);
        Assert.Null(vocabulary.Scores);
    }

    [Fact]
    public void Kinds_come_from_what_a_token_is_for()
    {
        Vocabulary vocabulary = FromJson();

        Assert.Equal([TokenKind.Unknown, TokenKind.Control, TokenKind.Control, TokenKind.Byte], vocabulary.Kinds[..4]);
        Assert.Equal((1, 2, 0), (vocabulary.BosId, vocabulary.EosId, vocabulary.UnknownId));
        Assert.True(vocabulary.AddBos && vocabulary.AddSpacePrefix && !vocabulary.AddEos);
    }

    // tokenization_chatglm.py: [gMASK] and sop before a text, and only what tokenizer_config.json lists is cut out of one.
    [Theory]
    [InlineData("{}", "sop<|user|>")]
    [InlineData("""{"269": {"content": "sop", "special": true}, "272": {"content": "<|user|>", "special": true}}""", "")]
    public void ChatGLM_has_its_tokens_behind_the_pieces(string listed, string text)
    {
        const int pieces = Samples.SentencePieceSize, rows = pieces + 12;
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.model", Samples.SentencePieceModel(s_scores)).With("config.json", $$"""{"architectures": ["NoGraphOfIt"], "vocab_size": {{rows}}, "eos_token_id": 2}""")
            .With("tokenizer_config.json", $$"""{"tokenizer_class": "ChatGLMTokenizer", "added_tokens_decoder": {{listed}}}""");
        Vocabulary vocabulary = folder.Read(rows);
        using Tokenizer tokenizer = Tokenizer.Open(folder.Path);
        int[] ids = tokenizer.Encode("abc", addSpecial: false);

        Assert.Equal(["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>", "[PAD275]"], vocabulary.Tokens[pieces..(pieces + 10)]);
        Assert.Equal([259, 264], ids);
        Assert.Equal([pieces + 1, pieces + 3, .. ids], tokenizer.Encode("abc"));
        Assert.Equal(text, tokenizer.Decode([.. tokenizer.Encode("sop<|user|>", addSpecial: false).Where(id => id < pieces)]));
        Assert.Throws<CheckpointException>(() => folder.Read(pieces + 3));
    }

    [Fact]
    public void Tokenizer_model_alone_says_the_same_as_tokenizer_json()
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.model", Samples.SentencePieceModel(s_scores)).With("tokenizer_config.json", Samples.Config());
        (Vocabulary model, Vocabulary json) = (folder.Read(Samples.SentencePieceSize), FromJson());

        Assert.Equal(json.Tokens, model.Tokens);
        Assert.Equal(json.Kinds, model.Kinds);
        Assert.Equal((s_scores("bc"), s_scores("a")), (model.Scores![Array.IndexOf(model.Tokens, "bc")], model.Scores[Array.IndexOf(model.Tokens, "a")]));
        Assert.Equal((json.BosId, json.EosId, json.UnknownId, json.AddBos, json.AddSpacePrefix), (model.BosId, model.EosId, model.UnknownId, model.AddBos, model.AddSpacePrefix));
    }

    [Theory]
    [InlineData("{}", SpacePrefix.None, true)]
    [InlineData("""{"legacy": false}""", SpacePrefix.MetaspaceFirst, false)]
    [InlineData("""{"legacy": false, "add_prefix_space": false}""", SpacePrefix.None, false)]
    public void Tokenizer_model_alone_leaves_the_space_to_the_configuration(string config, object prefix, bool prepends)
    {
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.model", Samples.SentencePieceModel(s_scores)).With("tokenizer_config.json", config);

        TextRules rules = folder.Read(Samples.SentencePieceSize).Text;
        Assert.Equal((prefix, prepends), ((object)rules.Space, rules.Normalizer is not null));
    }

    [Fact]
    public void The_added_tokens_of_tokenizer_json_win_over_tokenizer_model()
    {
        JsonNode json = Samples.SentencePieceJson();
        json["model"]!["vocab"]!.AsObject().Remove("</s>");
        json["added_tokens"]![2]!["content"] = "<end>";
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json).With("tokenizer.model", Samples.SentencePieceModel(s_scores));

        Vocabulary vocabulary = folder.Read(Samples.SentencePieceSize);

        Assert.Equal(("<end>", TokenKind.Control), (vocabulary.Tokens[2], vocabulary.Kinds[2]));
    }

    [Theory]
    [InlineData("always", true)]
    [InlineData("first", true)]
    [InlineData("never", false)]
    public void Metaspace_says_whether_a_space_is_put_before_the_text(string scheme, bool prefix)
    {
        Vocabulary vocabulary = FromJson(json =>
        {
            json["normalizer"] = null;
            json["pre_tokenizer"] = JsonNode.Parse($$"""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "{{scheme}}", "split": false}""");
        });

        Assert.Equal(prefix, vocabulary.AddSpacePrefix);
    }

    [Fact]
    public void A_token_that_spans_a_space_is_refused_where_metaspace_splits() =>
        Assert.Throws<UnsupportedModelException>(() => FromJson(json =>
        {
            json["normalizer"] = null;
            json["pre_tokenizer"] = JsonNode.Parse("""{"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true}""");
            json["model"]!["vocab"]!["a▁"] = 266 - 1;
            json["model"]!["vocab"]!.AsObject().Remove("bc");
            json["model"]!["merges"] = JsonNode.Parse("""[["a", "b"], ["ab", "c"], ["a", "▁"]]""");
        }));

    [Fact]
    public void A_token_that_spans_a_line_end_is_refused_where_merges_decide() =>
        Assert.Contains("line end", Assert.Throws<UnsupportedModelException>(() => FromJson(json =>
        {
            json["model"]!["vocab"]!.AsObject().Remove("bc");
            json["model"]!["vocab"]!["c\n"] = Samples.SentencePieceSize - 1;
            json["model"]!["merges"] = JsonNode.Parse("""[["a", "b"]]""");
        })).Message, StringComparison.Ordinal);

    [Fact]
    public void A_missing_byte_token_is_refused() =>
        Assert.Contains("<0x41>", Assert.Throws<UnsupportedModelException>(() => FromJson(json => json["model"]!["vocab"]!.AsObject().Remove("<0x41>"))).Message, StringComparison.Ordinal);

    [Fact]
    public void Added_tokens_without_tokenizer_json_come_from_the_configuration()
    {
        JsonNode config = Samples.Config();
        config["added_tokens_decoder"] = JsonNode.Parse("""{"266": {"content": "<|user|>", "special": true, "rstrip": true}}""");
        using TokenizerFolder folder = new TokenizerFolder()
            .With("tokenizer.model", Samples.SentencePieceModel(s_scores)).With("tokenizer_config.json", config).With("added_tokens.json", """{"<|user|>": 266, "<tool>": 267}""");

        Vocabulary vocabulary = folder.Read(Samples.SentencePieceSize + 2);

        Assert.Equal((TokenKind.Control, TokenKind.UserDefined), (vocabulary.Kinds[266], vocabulary.Kinds[267]));
        Assert.Equal([266], vocabulary.Text.TrimAfter);
    }
}
