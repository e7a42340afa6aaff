using System.Text.Json;
using System.Text.Json.Nodes;
using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Unigram with byte fallback, beside ids that Hugging Face's tokenizers gave; unigram_ids.json says how they were asked.</summary>
public class ByteFallbackTests
{
    private static readonly Lazy<JsonDocument> s_asked = new(() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Repository, "tests", "NativeBigModel.Tests", "Tokenizers", "unigram_ids.json"))));

    [Fact]
    public void Ids_and_texts_are_those_of_tokenizers()
    {
        using TokenizerFolder folder = Folder();
        Require(folder.Path);
    }

    [Fact]
    public void A_file_with_the_vocabulary_says_the_same()
    {
        using TokenizerFolder folder = Folder();
        GgufMetadata metadata = new() { ["general.architecture"] = "llama" };
        folder.Read(Rows).WriteTo(metadata);
        foreach ((string key, uint value) in ((string, uint)[])[("block_count", 1), ("context_length", 8), ("embedding_length", 4), ("feed_forward_length", 4), ("attention.head_count", 1)]) metadata[$"llama.{key}"] = value;
        CheckpointText text = CheckpointText.Of(folder.Read(Rows), () => metadata);
        TextPreparation preparation = GgufVocabulary.ReadPreparation(new GgufKeys("a file", metadata))!;

        foreach (JsonElement asked in s_asked.Value.RootElement.GetProperty("texts").EnumerateArray())
        {
            Assert.Equal(text.Preparation!.Split(asked.GetString()!).Select(static piece => piece.Token), preparation.Split(asked.GetString()!).Select(static piece => piece.Token));
        }
    }

    [Fact]
    public void A_byte_without_a_token_is_refused()
    {
        using TokenizerFolder folder = Folder(json => json["model"]!["vocab"]![3]![0] = "<0xZZ>");

        Assert.Contains("<0x00>", Assert.Throws<UnsupportedModelException>(() => folder.Read(Rows)).Message, StringComparison.Ordinal);
    }

    private static int Rows => s_asked.Value.RootElement.GetProperty("tokenizer").GetProperty("model").GetProperty("vocab").GetArrayLength();

    private static TokenizerFolder Folder(Action<JsonNode>? change = null)
    {
        JsonNode json = JsonNode.Parse(s_asked.Value.RootElement.GetProperty("tokenizer").GetRawText())!;
        change?.Invoke(json);
        return new TokenizerFolder().With("tokenizer.json", json).With("tokenizer_config.json", Samples.Config())
            .With("config.json", new JsonObject { ["architectures"] = new JsonArray("NoGraphOfIt"), ["vocab_size"] = Rows });
    }

    private static void Require(string path)
    {
        JsonElement asked = s_asked.Value.RootElement;
        using Tokenizer tokenizer = Tokenizer.Open(path);
        foreach (((JsonElement text, JsonElement ids), JsonElement decoded) in asked.GetProperty("texts").EnumerateArray().Zip(asked.GetProperty("ids").EnumerateArray()).Zip(asked.GetProperty("decoded").EnumerateArray()))
        {
            int[] actual = tokenizer.Encode(text.GetString()!, addSpecial: false);

            Assert.Equal($"{text.GetRawText()}: {ids.GetString()}", $"{text.GetRawText()}: {string.Join(' ', actual)}");
            Assert.Equal(decoded.GetString(), tokenizer.Decode(actual));
        }
    }
}
