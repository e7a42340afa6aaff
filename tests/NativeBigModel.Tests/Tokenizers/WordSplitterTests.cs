using NativeBigModel.Tokenizers;

namespace NativeBigModel.Tests.Tokenizers;

public class WordSplitterTests
{
    [Theory]
    [InlineData("gpt-2", "Don't  go  \n12", "Don|'t| | go|  |\n|12")]
    [InlineData("gpt-2", "𝒜𝒷c 𠀀𠀁1😀!", "𝒜𝒷c| 𠀀𠀁|1|😀!")]
    [InlineData("llama-bpe", "I'LL 12345", "I|'LL| |123|45")]
    [InlineData("qwen2", "a1\u0661½\r\n b", "a|1|\u0661|½|\r\n| b")]
    [InlineData("tekken", "мирПРИВЕТмир HTMLPage", "мир|ПРИВЕТмир| HTMLPage")]
    [InlineData("gpt-4o", "ÉtatÉTAT'S", "État|ÉTAT'S")]
    [InlineData("deepseek-v3", "漢字かなabc_def 1234", "漢字かな|abc|_def| |123|4")]
    [InlineData("deepseek-llm", "Hello wörld 123!\n你好, f(x)  ", "Hello| w|ö|rld| |1|2|3|!|\n|你好|,| f|(|x|)|  ")]
    [InlineData("deepseek-llm", "a\U00010400\U0001D400b ƻ\U0001E943", "a|\U00010400|\U0001D400|b| ƻ|\U0001E943")]
    [InlineData("kimi-k2", "helloWorld HTMLPage's 漢字々かな\U00020000〇12345", "hello|World| HTMLPage's| |漢字々|かな|\U00020000〇|123|45")]
    [InlineData("afmoe", "a1234567 ²12 漢字かな한글ไทย", "a|1|234|567| |²|12| |漢字かな|한글|ไทย")]
    [InlineData("bloom", "(a|b. c\u3000d", "(|a|||b|.| c|\u3000|d")]
    [InlineData("bailingmoe", "'LL don't!!\n", "'LL| don|'t|!!\n")]
    [InlineData("superbpe", "1234567 x", "1|234|567| x")]
    [InlineData("viking", "ab12", "ab|1|2")]
    [InlineData("chameleon", "<sentinel:1>a,  b", "<|sentinel|:|1|>|a|,|  |b")]
    [InlineData("glm4", "12345", "123|45")]
    public void Words_are_those_of_the_rules(string pre, string text, string words) => Assert.Equal(words, string.Join('|', new WordSplitter(PreTokenizers.Find(pre)!.Rules).Split(text)));

    [Fact]
    public void Every_known_name_keeps_every_text_whole()
    {
        const string text = " A\u0301b  12 \r\n'd 漢𠀀 😀—x\u00A0\0\uFFFD";
        foreach (string pre in PreTokenizers.Names) Assert.Equal(text, string.Concat(new WordSplitter(PreTokenizers.Find(pre)!.Rules).Split(text)));
    }

    [Theory]
    [InlineData("gpt-4o", "a")]
    [InlineData("gpt-4o", "漢")]
    [InlineData("deepseek-v3", " ")]
    [InlineData("bloom", "é")]
    [InlineData("exaone-moe", "a ")]
    [InlineData("tekken", "A")]
    [InlineData("llama-bpe", "\n")]
    [InlineData("falcon", "1")]
    [InlineData("afmoe", "1")]
    [InlineData("kimi-k2", "漢")]
    public void A_run_of_any_length_ends_no_process(string pre, string unit)
    {
        string text = string.Concat(Enumerable.Repeat(unit, 300_000));

        Assert.Equal(text.Length, new WordSplitter(PreTokenizers.Find(pre)!.Rules).Split(text).Sum(word => word.Length));
    }
}
