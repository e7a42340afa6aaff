using System.Text;
using System.Text.Json.Nodes;
using NativeBigModel.Chat;
using NativeBigModel.Tests.Hostile;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Tokenizers made here, through the engine: folder and file, text and back. The ids follow from the formats' own rules.</summary>
public class SmallTokenizerTests
{
    [Theory]
    [InlineData("Unigram", "ab  a\n zb</s>", "2 7 2 3 2 0 4 1 1", "ab a <unk>b</s></s>")]
    [InlineData("WordPiece", "AB. \u00c1b\u0301 [SEP]x", "2 7 8 7 3 1 3", "[CLS] ab. ab [SEP] [UNK] [SEP]")]
    [InlineData("SentencePiece", "abc <s> é", "1 259 264 259 1 259 259 198 172", "<s> abc <s>  é")]
    [InlineData("loose", "abcab d", "257 256 32 100", "abcab d")]
    [InlineData("fallback", "ab dé\n", "258 263 258 262 197 171 12 1", "ab dé\n</s>")]
    [InlineData("model", "abc é", "259 264 259 198 172", "abc é")]
    [InlineData("ranks", "abcab d", "260 262 257 256 32 100", "abcab d")]
    [InlineData("words", "ab abb ba", "2 4 5 4 5 5 1 3", "[CLS] ab abb [UNK] [SEP]")]
    public async Task Text_to_ids_and_back(string kind, string text, string ids, string back)
    {
        using var folder = new HostileFolder(TinyCheckpoint.WithTokenizer(kind));
        Require(folder.Path, text, ids, back);

        await GgufConverter.ConvertAsync(Checkpoint.Open(folder.Path), folder.In("model.gguf"), WeightType.AsStored);
        Require(folder.In("model.gguf"), text, ids, back);
    }

    [Fact]
    public void A_name_that_llama_cpp_concludes_from_makes_no_difference()
    {
        using var folder = new HostileFolder(TinyCheckpoint.Files());
        string named = Directory.CreateDirectory(folder.In("my-phi-3")).FullName;
        foreach ((string name, byte[] bytes) in TinyCheckpoint.Files()) File.WriteAllBytes(Path.Combine(named, name), bytes);

        Require(named, "ab<|endoftext|> c", "256 258 32 99", "ab<|endoftext|> c");
    }

    [Fact]
    public void A_token_that_is_none_inside_a_word_is_text_there()
    {
        Dictionary<string, byte[]> files = TinyCheckpoint.Files();
        JsonNode json = Samples.ByteLevel();
        json["added_tokens"]![1]!["content"] = "abc";
        json["model"]!["vocab"]!.AsObject().Remove("abc");
        json["model"]!["merges"] = new JsonArray("a b");
        json["added_tokens"]![1]!["single_word"] = true;
        files["tokenizer.json"] = Encoding.UTF8.GetBytes(json.ToJsonString());
        using var folder = new HostileFolder(files);

        Require(folder.Path, "abc abcab", "259 32 256 99 256", "abc abcab");
    }

    [Fact]
    public void A_model_that_nothing_computes_has_its_tokenizer_and_its_template()
    {
        using TempFolder folder = new TempFolder().CopyOf(TestFolders.Capitals, "model.safetensors");
        File.WriteAllText(folder["config.json"], """{ "architectures": ["MindReaderForCausalLM"], "vocab_size": 1024 }""");
        Assert.Throws<UnsupportedModelException>(() => Checkpoint.Open(folder.Path));

        using Tokenizer known = Tokenizer.Open(TestFolders.Capitals), other = Tokenizer.Open(folder.Path);
        ChatMessage[] messages = [ChatMessage.User(Capitals.UnitedStates)];
        Assert.Equal(known.Encode(Capitals.UnitedStates), other.Encode(Capitals.UnitedStates));
        Assert.Equal(known.Encode(ChatTemplate.Find(known)!.Render(messages)), other.Encode(ChatTemplate.Find(other)!.Render(messages)));

        File.WriteAllText(folder["config.json"], """{ "architectures": ["MindReaderForCausalLM"], "vocab_size": 3 }""");
        Assert.Throws<CheckpointException>(() => Tokenizer.Open(folder.Path));
    }

    private static void Require(string path, string text, string ids, string back)
    {
        using Tokenizer tokenizer = Tokenizer.Open(Checkpoint.Open(path));
        int[] actual = tokenizer.Encode(text);

        Assert.Equal(ids, string.Join(' ', actual));
        Assert.Equal(back, tokenizer.Decode(actual));
    }
}
