using System.Text.Json;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Real Hugging Face folders, where ../shared holds them; reference.json was written by transformers 5.17.0.</summary>
public class GoldenTokenizerTests
{
    private static readonly (string Key, bool Special)[] s_kinds = [("ids", true), ("ids_no_special", false)];

    private const string NoFolders = TestFolders.NoFolders;

    public static TheoryData<string> Cases() => [.. Names().DefaultIfEmpty(NoFolders)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Special_ids_and_sizes_are_those_of_transformers(string name)
    {
        if (name is NoFolders) return;
        Vocabulary vocabulary = Read(name);
        using JsonDocument reference = Open(name, "reference.json");
        JsonElement tokenizer = reference.RootElement.GetProperty("tokenizer");

        Assert.Equal(Id(tokenizer, "eos"), vocabulary.EosId);
        Assert.Equal(Id(tokenizer, "bos"), vocabulary.BosId);
        foreach (JsonElement special in tokenizer.GetProperty("specials").EnumerateArray())
        {
            int id = Array.IndexOf(vocabulary.Tokens, special.GetString());
            Assert.True(vocabulary.Kinds[id] is TokenKind.Control or TokenKind.Unknown);
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void The_ids_around_a_text_are_those_of_transformers(string name)
    {
        if (name is NoFolders) return;
        Vocabulary vocabulary = Read(name);
        using JsonDocument reference = Open(name, "reference.json");

        foreach (JsonElement prompt in reference.RootElement.GetProperty("prompts").EnumerateArray())
        {
            int[] bare = [.. prompt.GetProperty("ids_no_special").EnumerateArray().Select(id => id.GetInt32())];
            Assert.Equal([.. vocabulary.Text.Leading, .. bare, .. vocabulary.Text.Trailing], prompt.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
        }
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void Texts_become_the_ids_of_transformers_and_come_back(string name)
    {
        if (name is NoFolders) return;
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden!, name));
        using Tokenizer tokenizer = Tokenizer.Open(Checkpoint.Open(folder.Path));

        Assert.Equal([], Differences(tokenizer, name));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public async Task A_converted_file_gives_the_same_ids(string name)
    {
        if (name is NoFolders) return;
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden!, name));
        using Tokenizer tokenizer = Tokenizer.Open(Checkpoint.Open(await folder.ConvertAsync()));

        Assert.Equal([], Differences(tokenizer, name));
    }

    /// <summary>What a folder must do without, and what remains says the same.</summary>
    public static TheoryData<string, string> Without() => new()
    {
        { "gemma", "tokenizer.model" }, { "gemma2", "tokenizer.model" }, { "gemma3", "tokenizer.model" }, { "ernie4_5", "tokenizer.model" }, { "llama2", "tokenizer.model" },
        { "mistral", "tokenizer.model" }, { "mixtral", "tokenizer.model" }, { "nemotron", "tokenizer.model" }, { "phi3", "tokenizer.model" }, { "llama_linear", "tokenizer.model" },
        { "llama2", "tokenizer.json" }, { "mixtral", "tokenizer.json" }, { "llama_linear", "tokenizer.json" }, { "nemotron", "tokenizer.json" }, { "phi3", "tokenizer.json" }, { "gemma", "tokenizer.json" }, { "t5", "tokenizer.json" },
        { "bert", "tokenizer.json" }, { "gpt2", "tokenizer.json" }, { "gptj", "tokenizer.json" }, { "phi", "tokenizer.json" }, { "opt", "tokenizer.json" },
        { "qwen2", "tokenizer.json" }, { "qwen3", "tokenizer.json" }, { "codegen", "tokenizer.json" }, { "qwen2", "special_tokens_map.json" }, { "bert", "special_tokens_map.json" },
    };

    [Theory]
    [MemberData(nameof(Without))]
    public void One_of_the_files_is_enough(string name, string missing)
    {
        if (TestFolders.Golden is null) return;
        using TokenizerCheckpoint folder = new(Path.Combine(TestFolders.Golden, name), missing);
        using Tokenizer tokenizer = Tokenizer.Open(Checkpoint.Open(folder.Path));

        Assert.Equal([], Differences(tokenizer, name));
    }

    private static IEnumerable<string> Differences(Tokenizer tokenizer, string name)
    {
        using JsonDocument reference = Open(name, "reference.json");
        foreach (JsonElement prompt in reference.RootElement.GetProperty("prompts").EnumerateArray())
        {
            string text = prompt.GetProperty("text").GetString()!;
            foreach ((string key, bool special) in s_kinds)
            {
                string expected = string.Join(' ', Capitals.Ids(prompt.GetProperty(key))), actual = string.Join(' ', tokenizer.Encode(text, special));
                if (expected != actual) yield return $"{key} of {JsonSerializer.Serialize(text)}: {expected}, and not {actual}";
            }
            string decoded = prompt.GetProperty("decoded").GetString()!, back = tokenizer.Decode(Capitals.Ids(prompt.GetProperty("ids")));
            if (decoded != back) yield return $"decoded {JsonSerializer.Serialize(decoded)}, and not {JsonSerializer.Serialize(back)}";
            string bare = prompt.GetProperty("decoded_skip").GetString()!, without = tokenizer.Decode(Capitals.Ids(prompt.GetProperty("ids")), skipSpecial: true);
            if (bare != without) yield return $"decoded without special tokens {JsonSerializer.Serialize(bare)}, and not {JsonSerializer.Serialize(without)}";
        }
    }

    private static IEnumerable<string> Names() =>
        TestFolders.Golden is { } root ? Directory.EnumerateDirectories(root).Select(Path.GetFileName).OfType<string>().Order(StringComparer.Ordinal) : [];

    private static Vocabulary Read(string name)
    {
        using JsonDocument config = Open(name, "config.json");
        JsonElement root = config.RootElement;
        return HuggingFaceTokenizer.Read(Path.Combine(TestFolders.Golden!, name), root.GetProperty("vocab_size").GetInt32(), new(Id(root, "bos_token_id"), Id(root, "eos_token_id"), Id(root, "pad_token_id")))!;
    }

    private static JsonDocument Open(string name, string file) => JsonDocument.Parse(File.ReadAllBytes(Path.Combine(TestFolders.Golden!, name, file)));

    private static int? Id(JsonElement holder, string name) =>
        holder.TryGetProperty(name, out JsonElement id) ? id.ValueKind switch { JsonValueKind.Number => id.GetInt32(), JsonValueKind.Array => id[0].GetInt32(), _ => null } : null;
}
