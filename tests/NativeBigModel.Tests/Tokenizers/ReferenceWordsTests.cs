using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using NativeBigModel.Native;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Words as other programs cut them: Hugging Face's tokenizers (tokenizers_words.json says how they were asked), and llama.cpp's own rules where they are the same.</summary>
public sealed unsafe class ReferenceWordsTests
{
    private static readonly Lazy<JsonDocument> s_words = new(() => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Repository, "tests", "NativeBigModel.Tests", "Tokenizers", "tokenizers_words.json"))));

    public static TheoryData<string> Asked => [.. s_words.Value.RootElement.GetProperty("words").EnumerateObject().Select(static rules => rules.Name)];

    [Fact]
    public void Tokenizers_were_asked_about_every_set_of_rules()
    {
        HashSet<string> asked = [.. s_words.Value.RootElement.GetProperty("words").EnumerateObject().Select(static rules => PreTokenizers.Find(rules.Name)!.Rules)];

        Assert.All(PreTokenizers.Names, name => Assert.Contains(PreTokenizers.Find(name)!.Rules, asked));
    }

    [Theory]
    [MemberData(nameof(Asked))]
    public void Words_are_those_of_tokenizers(string pre)
    {
        JsonElement asked = s_words.Value.RootElement.GetProperty("words").GetProperty(pre);
        PreTokenizer known = PreTokenizers.Find(pre)!;
        Assert.Equal(asked.GetProperty("rules").EnumerateArray().Select(static rule => rule.GetString()), known.Rules.Split('\n'));
        WordSplitter splitter = new(known.Rules);
        foreach ((JsonElement text, JsonElement lengths) in s_words.Value.RootElement.GetProperty("texts").EnumerateArray().Zip(asked.GetProperty("lengths").EnumerateArray()))
        {
            Assert.Equal($"{text.GetRawText()}: {lengths.GetString()}", $"{text.GetRawText()}: {string.Join(' ', splitter.Split(text.GetString()!).Select(static word => word.Length))}");
        }
    }

    // llama.cpp's own code for kimi-k2 knows no case of letters and no marks, that for afmoe one kind of digits, one set for all scripts, and digits together with what stands
    // before them, so that spaces are cut there: nothing of that is in the texts.
    [Theory]
    [InlineData("kimi-k2", "abdestlmvr жщ 漢字 0189 '''', .!-()\r\n\t😀 ")]
    [InlineData("afmoe", "abdesTLMvr жщ 漢字かな 0189 0189, .!-()\r\n\t😀 é")]
    public void Ids_are_those_of_llama_cpp(string pre, string letters)
    {
        string[] alphabet = [.. letters.EnumerateRunes().Select(static rune => rune.ToString())];
        JsonNode json = Pairs(pre, alphabet);
        int size = json["model"]!["vocab"]!.AsObject().Count;
        using TokenizerFolder folder = new TokenizerFolder().With("tokenizer.json", json).With("config.json", $$"""{"architectures": ["NoGraphOfIt"], "vocab_size": {{size}}}""");
        using Tokenizer tokenizer = Tokenizer.Open(folder.Path);
        Random random = new(7);
        for (int i = 0; i < 400; i++)
        {
            string text = string.Concat(Enumerable.Range(0, random.Next(1, 40)).Select(_ => alphabet[random.Next(alphabet.Length)]));
            if (pre == "afmoe") text = Regex.Replace(text, @"\s+(?=\s\d)", "");

            Assert.Equal($"{text}: {string.Join(' ', Own(tokenizer, text))}", $"{text}: {string.Join(' ', tokenizer.Encode(text, addSpecial: false))}");
        }
    }

    // Every two bytes of the alphabet's merge: ids so tell where words begin.
    private static JsonNode Pairs(string pre, string[] alphabet)
    {
        JsonNode json = Samples.ByteLevel();
        char[] bytes = [.. alphabet.SelectMany(static letter => Encoding.UTF8.GetBytes(letter)).Distinct().Select(ByteAlphabet.OfByte)];
        JsonArray merges = [];
        JsonObject vocabulary = json["model"]!["vocab"]!.AsObject();
        vocabulary.Remove("ab");
        vocabulary.Remove("abc");
        foreach ((char first, char second) in bytes.SelectMany(first => bytes.Select(second => (first, second))))
        {
            merges.Add($"{first} {second}");
            vocabulary[$"{first}{second}"] = vocabulary.Count;
        }
        json["added_tokens"] = new JsonArray();
        (json["model"]!["merges"], json["pre_tokenizer"]) = (merges, PreTokenizerTests.Splits(PreTokenizers.Find(pre)!.Rules.Split('\n')));
        return json;
    }

    private static int[] Own(Tokenizer tokenizer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int[] ids = new int[bytes.Length];
        fixed (byte* at = bytes)
        fixed (int* to = ids) return ids[..LlamaVocabApi.LlamaTokenize(tokenizer.ByteVocabulary, at, bytes.Length, to, ids.Length, addSpecial: false, parseSpecial: false)];
    }
}
