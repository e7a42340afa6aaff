using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class TextPreparationTests
{
    private static readonly Vocabulary s_plain = new("llama", null, ["<unk>", "<s>", "<s>x", "<tool>"], [TokenKind.Unknown, TokenKind.Control, TokenKind.Control, TokenKind.UserDefined], null, null);

    [Fact]
    public void A_text_stays_as_it_is_where_llama_cpp_does_all() => Assert.Equal("a<s> b", new TextPreparation(s_plain).Apply("a<s> b", true));

    [Fact]
    public void Composition_goes_up_to_an_added_token_and_not_across() =>
        Assert.Equal("é<s>\u0338", new TextPreparation(s_plain with { NormalizeNfc = true }).Apply("e\u0301<s>\u0338", true));

    [Fact]
    public void White_space_after_a_token_goes_with_it() =>
        Assert.Equal("a <s>b <tool> c", new TextPreparation(s_plain with { TrimAfter = [1] }).Apply("a <s> \n b <tool> c", true));

    [Fact]
    public void The_longest_token_at_a_place_counts() =>
        Assert.Equal("<s>x y", new TextPreparation(s_plain with { TrimAfter = [1] }).Apply("<s>x y", true));

    [Fact]
    public void Control_tokens_are_text_unless_they_are_parsed() =>
        Assert.Equal("<s> b", new TextPreparation(s_plain with { TrimAfter = [1] }).Apply("<s> b", false));

    [Theory]
    [InlineData("a<s>b", " a<s>b")]
    [InlineData(" a", " a")]
    [InlineData("<s>b", "<s>b")]
    [InlineData("", "")]
    public void Metaspace_first_puts_one_space_before_the_text(string text, string prepared)
    {
        TextPreparation preparation = new(s_plain with { AddSpacePrefix = true, SpacePrefix = SpacePrefix.FirstUnlessSpace });

        Assert.False(preparation.Vocabulary.AddSpacePrefix);
        Assert.Equal(prepared, preparation.Apply(text, true));
    }

    [Fact]
    public void Metaspace_always_puts_one_before_every_stretch() =>
        Assert.Equal(" a<s> b<s> c", new TextPreparation(s_plain with { AddSpacePrefix = true, SpacePrefix = SpacePrefix.AlwaysUnlessSpace }).Apply("a<s> b<s>c", true));

    [Fact]
    public void A_lone_surrogate_does_no_harm() => Assert.Equal("\uFFFD", new TextPreparation(s_plain with { NormalizeNfc = true }).Apply("\ud800", true));
}
