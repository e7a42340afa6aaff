using System.Text.Json.Nodes;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class PreTokenizerTests
{
    private const string ByteLevel = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}""";
    private const string Gpt2 = """{"type": "ByteLevel", "add_prefix_space": false, "use_regex": true}""";
    private const string Digits = """{"type": "Digits", "individual_digits": true}""";
    private const string Qwen2Regex = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string SeedRegex = @"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string TekkenRegex = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string O200kRegex = @"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    private const string DeepSeekRegex = @"[!""#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private const string DeepSeek2Letters = @"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";

    private const string KimiRegex = @"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

    private static readonly string[] s_afmoe =
    [
        @"\p{Nd}{1,510}(?=(?>\p{Nd}{510})*(?:\P{Nd}|$))|\G\p{Nd}{510}", @"\A\p{Nd}{1,2}(?=\p{Nd}{3}+\z)", @"\A\p{Nd}{3}|\G\p{Nd}{3}",
        @"(?:[\u4E00-\u9FFF\u3040-\u309F\u30A0-\u30FF\u3400-\u4DBF\uf900-\uFAFF\uFF65-\uFF9F\u2F00-\u2FDF]+|[\u0E00-\u0E7F]+|[\u0E80-\u0EFF]+|[\u1780-\u17FF]+|[\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF]+|[\uAC00-\uD7AF\u1100-\u11FF]+)",
        DeepSeekRegex,
    ];

    public static TheoryData<string, string, bool, bool, string> Known() => new()
    {
        { "Llama 3", Split(Samples.Llama3Regex, ByteLevel), true, false, "llama-bpe" },
        { "Llama 3's rules with merges", Split(Samples.Llama3Regex, ByteLevel), false, false, "smaug-bpe" },
        { "Qwen 2", Split(Qwen2Regex, ByteLevel), false, true, "qwen2" },
        { "Qwen 2's rules without NFC", Split(Qwen2Regex, ByteLevel), false, false, "grok-2" },
        { "GPT-2", Gpt2, false, false, "granite-docling" },
        { "GPT-2's rules with NFC", Gpt2, false, true, "olmo" },
        { "SmolLM", Sequence(Digits, Gpt2), false, false, "smollm" },
        { "Command R", Sequence(Digits, Gpt2), false, true, "command-r" },
        { "Tekken", Split(TekkenRegex, ByteLevel), true, false, "tekken" },
        { "o200k", Split(O200kRegex, ByteLevel), false, false, "gpt-4o" },
        { "DeepSeek 3", Sequence(One(@"\p{N}{1,3}"), One("[一-龥぀-ゟ゠-ヿ]+"), One(DeepSeekRegex), ByteLevel), false, false, "deepseek-v3" },
        { "DeepSeek 2", Sequence(One("[\r\n]"), One(DeepSeek2Letters), One(@"\s?[!-/:-~！-／：-～‘-‟　-。]+"), One(@"\s+$"), One("[一-龥ࠀ-一가-퟿]+"), Digits, ByteLevel), false, false, "deepseek-llm" },
        { "DeepSeek 2 with digits together", Sequence(One("[\r\n]"), One(DeepSeek2Letters), One(@"\s?[!-/:-~！-／：-～‘-‟　-。]+"), One(@"\s+$"), One("[一-龥ࠀ-一가-퟿]+"), """{"type": "Digits", "individual_digits": false}""", ByteLevel), false, false, "deepseek-llm" },
        { "Kimi", Split(KimiRegex, ByteLevel), true, false, "kimi-k2" },
        { "AFMoE", Sequence([.. s_afmoe.Select(One), ByteLevel]), false, false, "afmoe" },
        { "Seed", Split(SeedRegex, ByteLevel), false, false, "seed-coder" },
        { "Bloom", Split(@" ?[^(\s|[.,!?…。，、।۔،])]+", ByteLevel), false, false, "poro-chat" },
    };

    [Theory]
    [MemberData(nameof(Known))]
    public void The_name_follows_from_the_rules(string rules, string preTokenizer, bool ignoreMerges, bool nfc, string name)
    {
        Assert.NotEmpty(rules);
        Vocabulary vocabulary = Read(preTokenizer, ignoreMerges, nfc);

        Assert.Equal(name, vocabulary.PreTokenizer);
        Assert.Equal(nfc, vocabulary.Text.Normalizer is not null);
        Assert.Equal(nfc, PreTokenizers.ImpliesNfc(name));
    }

    [Theory]
    [InlineData("qwen2", true)]
    [InlineData("llama-bpe", false)]
    [InlineData("no such name", false)]
    public void Nfc_is_known_from_the_name_alone(string name, bool nfc) => Assert.Equal(nfc, PreTokenizers.ImpliesNfc(name));

    [Fact]
    public void Gpt2_keeps_its_name_where_the_tokenizer_cleans_up_spaces()
    {
        using TokenizerFolder folder = Folder(Gpt2, false, false).With("tokenizer_config.json", """{"clean_up_tokenization_spaces": true}""");

        Assert.Equal("gpt-2", folder.Read(Samples.ByteLevelSize).PreTokenizer);
    }

    [Fact]
    public void Unknown_rules_are_refused_by_name()
    {
        UnsupportedModelException error = Assert.Throws<UnsupportedModelException>(() => Read(Split(@"\p{L}+|x", ByteLevel), false, false));

        Assert.Contains(@"\p{L}+|x", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Ignore_merges_may_be_wrong_where_merges_reach_every_token() =>
        Assert.Equal("tekken", Read(Split(TekkenRegex, ByteLevel), ignoreMerges: false, nfc: false).PreTokenizer);

    [Fact]
    public void Ignore_merges_must_be_right_where_a_token_is_out_of_reach()
    {
        using TokenizerFolder folder = Folder(Split(TekkenRegex, ByteLevel), false, false, json => json["model"]!["vocab"]!["zzz"] = 260);

        Assert.Contains("ignore_merges", Assert.Throws<UnsupportedModelException>(() => folder.Read(Samples.ByteLevelSize)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_space_before_the_text_is_put_there_by_the_library() =>
        Assert.Equal(SpacePrefix.ByteLevel, Read("""{"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}""", false, false).Text.Space);

    [Fact]
    public void A_space_before_every_part_of_a_split_is_refused() =>
        Assert.Throws<UnsupportedModelException>(() => Read(Sequence(Digits, """{"type": "ByteLevel", "add_prefix_space": true, "use_regex": true}"""), false, false));

    /// <summary>tokenizer.json's pre_tokenizer that splits by each of the rules, then spells bytes.</summary>
    internal static JsonNode Splits(IEnumerable<string> rules) => JsonNode.Parse(Sequence([.. rules.Select(One), ByteLevel]))!;

    private static Vocabulary Read(string preTokenizer, bool ignoreMerges, bool nfc)
    {
        using TokenizerFolder folder = Folder(preTokenizer, ignoreMerges, nfc);
        return folder.Read(Samples.ByteLevelSize);
    }

    private static TokenizerFolder Folder(string preTokenizer, bool ignoreMerges, bool nfc, Action<JsonNode>? change = null)
    {
        JsonNode json = Samples.ByteLevel();
        json["pre_tokenizer"] = JsonNode.Parse(preTokenizer);
        json["model"]!["ignore_merges"] = ignoreMerges;
        if (nfc) json["normalizer"] = JsonNode.Parse("""{"type": "NFC"}""");
        change?.Invoke(json);
        return new TokenizerFolder().With("tokenizer.json", json);
    }

    private static string One(string regex) => new JsonObject { ["type"] = "Split", ["pattern"] = new JsonObject { ["Regex"] = regex }, ["behavior"] = "Isolated", ["invert"] = false }.ToJsonString();

    private static string Split(string regex, string then) => Sequence(One(regex), then);

    private static string Sequence(params string[] parts) => $$"""{"type": "Sequence", "pretokenizers": [{{string.Join(", ", parts)}}]}""";
}
