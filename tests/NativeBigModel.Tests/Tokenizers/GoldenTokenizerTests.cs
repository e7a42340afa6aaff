using System.Text.Json;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

/// <summary>Real Hugging Face folders, where ../shared holds them; reference.json was written by transformers 5.17.0.</summary>
public class GoldenTokenizerTests
{
    private static readonly string[] s_refused = ["bert", "codegen_moss", "gpt2_base", "t5", "t5_gated"];

    private const string NoFolders = TestFolders.NoFolders;

    public static TheoryData<string> Read() => [.. Cases().Where(name => !s_refused.Contains(name)).DefaultIfEmpty(NoFolders)];

    public static TheoryData<string> Refused() => [.. Cases().Where(name => s_refused.Contains(name)).DefaultIfEmpty(NoFolders)];

    [Theory]
    [MemberData(nameof(Read))]
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
    [MemberData(nameof(Read))]
    public void The_ids_around_a_text_are_those_of_transformers(string name)
    {
        if (name is NoFolders) return;
        Vocabulary vocabulary = Read(name);
        using JsonDocument reference = Open(name, "reference.json");

        foreach (JsonElement prompt in reference.RootElement.GetProperty("prompts").EnumerateArray())
        {
            int[] bare = [.. prompt.GetProperty("ids_no_special").EnumerateArray().Select(id => id.GetInt32())];
            Assert.Equal([.. vocabulary.LeadingIds, .. bare, .. vocabulary.TrailingIds], prompt.GetProperty("ids").EnumerateArray().Select(id => id.GetInt32()));
        }
    }

    [Theory]
    [MemberData(nameof(Refused))]
    public void What_llama_cpp_cannot_express_is_refused(string name)
    {
        if (name is not NoFolders) Assert.Throws<UnsupportedModelException>(() => Read(name));
    }

    private static IEnumerable<string> Cases() =>
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
