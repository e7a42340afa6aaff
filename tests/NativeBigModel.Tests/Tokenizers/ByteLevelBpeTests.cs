using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class ByteLevelBpeTests
{
    private static Vocabulary Read(Action<JsonNode>? change = null, string? config = null, TokenIds? ids = null)
    {
        JsonNode json = Samples.ByteLevel();
        change?.Invoke(json);
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json);
        if (config is not null) folder.With("tokenizer_config.json", config);
        return folder.Read(Samples.ByteLevelSize, ids);
    }

    [Fact]
    public void A_byte_level_tokenizer_becomes_gpt2_with_one_token_per_row()
    {
        Vocabulary vocabulary = Read();

        Assert.Equal("gpt2", vocabulary.Model);
        Assert.Equal(Samples.ByteLevelSize, vocabulary.Tokens.Length);
        Assert.Equal(["a b", "ab c"], vocabulary.Merges!);
        Assert.Equal((TokenKind.Normal, TokenKind.Control, TokenKind.UserDefined, TokenKind.Unused), (vocabulary.Kinds[256], vocabulary.Kinds[258], vocabulary.Kinds[259], vocabulary.Kinds[260]));
        Assert.Equal(("<|endoftext|>", "[PAD260]"), (vocabulary.Tokens[258], vocabulary.Tokens[260]));
        Assert.Null(vocabulary.Scores);
    }

    [Fact]
    public void Both_spellings_of_merges_mean_the_same() =>
        Assert.Equal(Read().Merges!, Read(json => json["model"]!["merges"] = JsonNode.Parse("""[["a", "b"], ["ab", "c"]]""")).Merges!);

    [Fact]
    public void Of_a_merge_that_stands_twice_the_later_rank_counts() =>
        Assert.Equal(["ab c", "a b"], Read(json => json["model"]!["merges"] = JsonNode.Parse("""["a b", "ab c", "a b"]""")).Merges!);

    [Fact]
    public void A_tokenizer_without_bos_gets_none_from_the_model_configuration()
    {
        Vocabulary vocabulary = Read(config: """{"bos_token": null, "eos_token": "<|endoftext|>"}""", ids: new(11, 11, null));

        Assert.Null(vocabulary.BosId);
        Assert.False(vocabulary.AddBos);
        Assert.Equal(258, vocabulary.EosId);
    }

    [Fact]
    public void Ids_fall_back_to_the_model_configuration() =>
        Assert.Equal((258, 258), (Read(ids: new(258, 258, null)).BosId, Read(ids: new(258, 258, null)).EosId));

    [Fact]
    public void A_missing_eos_is_written_as_the_token_of_a_byte_that_no_text_holds()
    {
        GgufMetadata metadata = new();
        Vocabulary vocabulary = Read();
        vocabulary.WriteTo(metadata);

        Assert.Null(vocabulary.EosId);
        Assert.Equal(255u, metadata.Find("tokenizer.ggml.eos_token_id"));
        Assert.Null(metadata.Find("tokenizer.ggml.bos_token_id"));
        Assert.Equal(false, metadata.Find("tokenizer.ggml.add_bos_token"));
    }

    [Fact]
    public void A_free_row_never_shares_the_text_of_a_token() =>
        Assert.Equal("[PAD260]_", Read(json => json["added_tokens"]![1]!["content"] = "[PAD260]").Tokens[260]);

    [Fact]
    public void A_token_outside_the_byte_alphabet_is_out_of_the_reach_of_text() =>
        Assert.Equal(TokenKind.Unused, Read(json => json["model"]!["vocab"]!["日本"] = 260).Kinds[260]);

    [Fact]
    public void The_template_decides_over_add_bos_token()
    {
        static void Template(JsonNode json) => json["post_processor"] = JsonNode.Parse("""
            {"type": "Sequence", "processors": [
              {"type": "ByteLevel", "add_prefix_space": true},
              {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<|endoftext|>"}}, {"Sequence": {"id": "A"}}],
               "special_tokens": {"<|endoftext|>": {"ids": [258]}}}]}
            """);

        Vocabulary vocabulary = Read(Template, """{"add_bos_token": false, "bos_token": "<|endoftext|>"}""");

        Assert.True(vocabulary.AddBos);
        Assert.Equal([258], vocabulary.Text.Leading);
    }

    [Fact]
    public void Two_tokens_before_a_text_are_left_to_the_caller()
    {
        Vocabulary vocabulary = Read(json => json["post_processor"] = JsonNode.Parse("""
            {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}], "special_tokens": {"x": {"ids": [258, 259]}}}
            """));

        Assert.False(vocabulary.AddBos);
        Assert.Equal([258, 259], vocabulary.Text.Leading);
    }

    [Fact]
    public void The_jinja_file_wins_over_the_default_template_of_a_list()
    {
        const string config = """{"chat_template": [{"name": "rag", "template": "R"}, {"name": "default", "template": "D"}]}""";
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", Samples.ByteLevel()).With("tokenizer_config.json", config);

        Assert.Equal(new() { ["default"] = "D", ["rag"] = "R" }, folder.Read(Samples.ByteLevelSize).ChatTemplates.ToDictionary());
        Assert.Equal(new() { ["default"] = "J" }, folder.With("chat_template.jinja", "J").Read(Samples.ByteLevelSize).ChatTemplates.ToDictionary());
    }

    [Fact]
    public void A_folder_without_tokenizer_files_has_no_vocabulary()
    {
        using TokenizerFolder folder = new();

        Assert.Null(folder.With("tokenizer_config.json", "{}").Read(10));
    }

    [Fact]
    public void Falcon_loses_the_merges_that_its_digit_rule_forbids()
    {
        Vocabulary vocabulary = Read(json =>
        {
            json["pre_tokenizer"] = JsonNode.Parse("""
                {"type": "Sequence", "pretokenizers": [
                  {"type": "Punctuation", "behavior": "Contiguous"},
                  {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
                  {"type": "Digits", "individual_digits": false},
                  {"type": "Split", "pattern": {"Regex": "[0-9][0-9][0-9]"}, "behavior": "Isolated", "invert": false}]}
                """);
            json["model"]!["vocab"]!["a1"] = 260;
            json["model"]!["merges"]!.AsArray().Insert(0, "a 1");
        });

        Assert.Equal(["a b", "ab c"], vocabulary.Merges!);
    }
}
