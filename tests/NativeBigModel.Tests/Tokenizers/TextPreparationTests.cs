using NativeBigModel.Checkpoints.Gguf;
using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class TextPreparationTests
{
    private const string Nfc = """{"type": "NFC"}""";
    private const string Prepend = """{"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]}""";

    private static readonly string[] s_tokens = ["<unk>", "<s>", "<s>x", "<tool>"];
    private static readonly TokenKind[] s_kinds = [TokenKind.Unknown, TokenKind.Control, TokenKind.Control, TokenKind.UserDefined];

    // Tokens as [id].
    private static string Split(string text, TextRules rules) =>
        string.Join("|", new TextPreparation("a file", s_tokens, s_kinds, rules).Split(text).Select(piece => piece.Token is { } token ? $"[{token}]" : piece.Text));

    [Fact]
    public void Without_rules_only_added_tokens_are_cut_out() => Assert.Equal("a|[1]| b|[3]", Split("a<s> b<tool>", new()));

    [Fact]
    public void Composition_goes_up_to_an_added_token_and_not_across() => Assert.Equal("é|[1]|\u0338", Split("e\u0301<s>\u0338", new() { Normalizer = Nfc }));

    [Fact]
    public void White_space_goes_with_the_tokens_that_take_it() =>
        Assert.Equal("a |[1]|b|[3]| c|[3]", Split("a <s> \n b \t<tool> c<tool>", new() { TrimAfter = [1], TrimBefore = [3] }));

    [Fact]
    public void The_longest_token_at_a_place_counts() => Assert.Equal("[2]| y", Split("<s>x y", new() { TrimAfter = [1] }));

    [Theory]
    [InlineData("a <tool> b", "a |[3]| b")]
    [InlineData("<tool>", "[3]")]
    [InlineData("a<tool> b", "a<tool> b")]
    [InlineData("é\u0301<tool>, <tool>_", "é\u0301<tool>, <tool>_")]
    [InlineData("a<tool><s>", "a<tool>|[1]")]
    public void A_whole_word_token_is_none_inside_a_word(string text, string pieces) => Assert.Equal(pieces, Split(text, new() { WholeWord = [3] }));

    [Theory]
    [InlineData("a<TOOL>b", "a|[3]|b")]
    [InlineData("a<S>b", "a<s>b")]
    [InlineData("A<s>B", "a|[1]|b")]
    public void A_normalized_token_is_found_in_the_normalised_text(string text, string pieces) =>
        Assert.Equal(pieces, Split(text, new() { Normalized = [3], Normalizer = """{"type": "Lowercase"}""" }));

    [Fact]
    public void A_space_that_the_normalizer_prepends_comes_after_every_token_that_was_cut_before() =>
        Assert.Equal("▁a▁b|[1]|▁▁c", Split("a b<s> c", new() { Normalizer = Prepend }));

    [Theory]
    [InlineData("a<s>b", "▁a|[1]|b")]
    [InlineData(" a", " a")]
    [InlineData("<s>b", "[1]|b")]
    [InlineData("", "")]
    public void Metaspace_first_puts_one_space_before_the_text(string text, string pieces) => Assert.Equal(pieces, Split(text, new() { Space = SpacePrefix.MetaspaceFirst }));

    [Fact]
    public void Metaspace_always_puts_one_before_every_stretch() => Assert.Equal("▁a|[1]| b|[1]|▁c", Split("a<s> b<s>c", new() { Space = SpacePrefix.Metaspace }));

    [Fact]
    public void Words_lose_the_white_space_between_them() => Assert.Equal("▁a▁b|[1]|▁c", Split("  a \n\u3000b <s>c ", new() { Space = SpacePrefix.MetaspaceWords }));

    [Fact]
    public void Byte_level_puts_a_space_before_all_but_a_space() => Assert.Equal(" a|[1]| b|[1]| ▁c", Split("a<s> b<s>▁c", new() { Space = SpacePrefix.ByteLevel }));

    [Theory]
    [InlineData("abcd abc", "[0]| abc")]
    [InlineData("ab abcd.abcd", "ab |[0]|.|[0]")]
    [InlineData("a b c d", "a b c d")]
    [InlineData("😀😀😀", "😀😀😀")]
    public void A_word_that_is_too_long_is_unknown(string text, string pieces) => Assert.Equal(pieces, Split(text, new() { LongestWord = 3 }));

    [Fact]
    public void A_lone_surrogate_does_no_harm() => Assert.Equal("\uFFFD", Split("\ud800", new() { Normalizer = Nfc }));

    [Fact]
    public void Rules_survive_in_a_file()
    {
        TextRules rules = new()
        {
            Leading = [1, 2], Trailing = [3], TrimBefore = [1], TrimAfter = [2], WholeWord = [3], Normalized = [0],
            Normalizer = Nfc, Space = SpacePrefix.MetaspaceFirst, LongestWord = 100, Join = TextJoin.CleanWords,
        };
        GgufMetadata metadata = new();
        rules.WriteTo(metadata);

        TextRules read = TextRules.Read(new GgufKeys("a file", metadata), 4)!;

        Assert.Equivalent(rules, read, strict: true);
        Assert.Contains("token 3 of 3", Assert.Throws<CheckpointException>(() => TextRules.Read(new GgufKeys("a file", metadata), 3)).Message, StringComparison.Ordinal);
        Assert.Null(TextRules.Read(new GgufKeys("a file", new GgufMetadata()), 4));
    }
}
