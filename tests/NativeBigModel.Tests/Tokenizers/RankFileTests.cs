using System.Text.Json;
using System.Text.Json.Nodes;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Vocabularies of tiktoken, beside ids that tiktoken gave; tiktoken_ids.json says how it was asked.</summary>
public class RankFileTests
{
    private const int Rows = 1000;

    private static readonly Lazy<JsonDocument> s_asked = new(() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Repository, "tests", "NativeBigModel.Tests", "Tokenizers", "tiktoken_ids.json"))));

    [Theory]
    [InlineData("qwen", "qwen2")]
    [InlineData("kimi", "kimi-k2")]
    [InlineData("glm4", "llama-bpe")]
    public void Ids_are_those_of_tiktoken(string model, string pre)
    {
        using TokenizerFolder folder = Folder(model);
        Assert.Equal(pre, folder.Read(Rows).PreTokenizer);
        using Tokenizer tokenizer = Tokenizer.Open(folder.Path);
        foreach ((JsonElement text, JsonElement ids) in s_asked.Value.RootElement.GetProperty("texts").EnumerateArray().Zip(s_asked.Value.RootElement.GetProperty(model).EnumerateArray()))
        {
            int[] actual = tokenizer.Encode(text.GetString()!, addSpecial: false);

            Assert.Equal($"{text.GetRawText()}: {ids.GetString()}", $"{text.GetRawText()}: {string.Join(' ', actual)}");
            Assert.Equal(model == "qwen" ? text.GetString()!.Normalize() : text.GetString(), tokenizer.Decode(actual));
        }
    }

    [Fact]
    public void Glm4_puts_two_tokens_before_a_text_and_the_others_none()
    {
        int first = Ranks("glm4").Length;
        Assert.Equal([first + 2, first + 4], Leading("glm4"));
        Assert.Empty(Leading("qwen"));
        Assert.Empty(Leading("kimi"));
    }

    [Fact]
    public void A_token_that_no_merges_lead_to_is_refused_where_llama_cpp_goes_by_merges()
    {
        using TokenizerFolder folder = Folder("qwen").With("qwen.tiktoken", string.Join('\n', Ranks("kimi")));

        Assert.Contains("ignore_merges", Assert.Throws<UnsupportedModelException>(() => folder.Read(Rows)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("qwen.tiktoken", """{"tokenizer_class": "OtherTokenizer"}""")]
    [InlineData("tiktoken.model", """{"tokenizer_class": "TikTokenTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_other.TikTokenTokenizer", null]}}""")]
    [InlineData("tiktoken.model", """{"tokenizer_class": "TikTokenTokenizer", "auto_map": {"AutoTokenizer": []}}""")]
    public void Code_that_is_not_known_is_refused_by_name(string file, string settings)
    {
        using TokenizerFolder folder = new TokenizerFolder().With(file, string.Join('\n', Ranks("qwen"))).With("tokenizer_config.json", settings);

        Assert.StartsWith(file, Assert.Throws<UnsupportedModelException>(() => folder.Read(Rows)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("IQ==", "line 1")]
    [InlineData("IQ== x", "line 1")]
    [InlineData("IQ== -1", "line 1")]
    [InlineData("I! 0", "line 1")]
    [InlineData(" 0", "line 1")]
    [InlineData("IQ== 0\nIg== 0", "line 2")]
    [InlineData("IQ== 0\nIg== 2", "line 2")]
    [InlineData("IQ== 0\nIQ== 1", "rank 1")]
    [InlineData("long", "line 257")]
    [InlineData("many", "length of its tokens")]
    [InlineData("beyond", "300")]
    public void A_malformed_file_is_refused_by_the_place(string text, string place)
    {
        string[] bytes = [.. Enumerable.Range(0, 256).Select(static value => $"{Convert.ToBase64String([(byte)value])} {value}")];
        text = text switch
        {
            "long" => string.Join('\n', [.. bytes, $"{Convert.ToBase64String(new byte[513])} 256"]),
            "many" => string.Join('\n', [.. bytes, .. Enumerable.Range(0, 300).Select(static i => $"{Convert.ToBase64String([.. BitConverter.GetBytes(i), .. new byte[508]])} {i + 256}")]),
            "beyond" => string.Join('\n', [.. bytes, .. Enumerable.Range(0, 50).Select(static i => $"{Convert.ToBase64String([1, (byte)i])} {i + 256}")]),
            _ => text,
        };
        using TokenizerFolder folder = new TokenizerFolder().With("qwen.tiktoken", text).With("tokenizer_config.json", """{"tokenizer_class": "QWenTokenizer"}""");

        CheckpointException error = Assert.Throws<CheckpointException>(() => folder.Read(300));

        Assert.StartsWith("qwen.tiktoken", error.Message, StringComparison.Ordinal);
        Assert.Contains(place, error.Message, StringComparison.Ordinal);
    }

    private static int[] Leading(string model)
    {
        using TokenizerFolder folder = Folder(model);
        return [.. folder.Read(Rows).Text.Leading];
    }

    private static TokenizerFolder Folder(string model)
    {
        string[] ranks = Ranks(model);
        (string file, string settings) = model switch
        {
            "qwen" => ("qwen.tiktoken", """{"tokenizer_class": "QWenTokenizer"}"""),
            "kimi" => ("tiktoken.model", $$$"""
                {"tokenizer_class": "TikTokenTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_kimi.TikTokenTokenizer", null]}, "bos_token": "[BOS]", "eos_token": "[EOS]",
                 "added_tokens_decoder": {"{{{ranks.Length}}}": {"content": "[BOS]", "special": true}, "{{{ranks.Length + 1}}}": {"content": "[EOS]", "special": true}, "{{{ranks.Length + 2}}}": {"content": "<|im_end|>", "special": true} }}
                """),
            _ => ("tokenizer.model", $$$"""
                {"tokenizer_class": "ChatGLM4Tokenizer", "added_tokens_decoder": {"{{{ranks.Length + 2}}}": {"content": "[gMASK]", "special": true}, "{{{ranks.Length + 4}}}": {"content": "<sop>", "special": true} }}
                """),
        };
        return new TokenizerFolder().With(file, string.Join('\n', ranks) + "\n").With("tokenizer_config.json", settings)
            .With("config.json", new JsonObject { ["architectures"] = new JsonArray("NoGraphOfIt"), ["vocab_size"] = Rows });
    }

    private static string[] Ranks(string model)
    {
        JsonElement asked = s_asked.Value.RootElement;
        IEnumerable<string?> tokens = asked.GetProperty("ranks").EnumerateArray().Select(static token => token.GetString());
        return [.. (model == "kimi" ? tokens.Append(asked.GetProperty("more").GetString()) : tokens).Select(static (token, rank) => $"{token} {rank}")];
    }
}
