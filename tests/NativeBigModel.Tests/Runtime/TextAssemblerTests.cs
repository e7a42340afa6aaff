using System.Text;
using FsCheck;
using FsCheck.Fluent;
using NativeBigModel.Runtime;

namespace NativeBigModel.Tests.Runtime;

public class TextAssemblerTests
{
    private static readonly Gen<string> s_text = Gen.ListOf(Gen.Elements("a", "b", "ab", "aa", "é", "是", "谁", "😀", "\n", " ")).Select(parts => string.Concat(parts));

    // Two letters only, so that stop strings overlap in the text and hold one another.
    private static readonly Gen<string> s_letters = Gen.ListOf(Gen.Elements("a", "b")).Select(parts => string.Concat(parts));

    private static readonly Arbitrary<(string Text, string[] Stops, int Seed)> s_cases = (
        from kind in Gen.Elements(s_text, s_letters)
        from text in kind
        from stops in Gen.ListOf(kind.Where(stop => stop.Length is > 0 and < 9)).Select(all => all.Take(3).ToArray())
        from seed in Gen.Choose(0, int.MaxValue - 1)
        select (text, stops, seed)).ToArbitrary();

    [Fact]
    public void Any_bytes_in_any_chunks_give_the_text_before_the_stop_string_that_is_complete_first() =>
        Check.One(Config.QuickThrowOnFailure.WithMaxTest(1000), Prop.ForAll(s_cases, one =>
        {
            (string text, string[] stops, int seed) = one;
            var assembler = new TextAssembler(stops);
            var random = new Random(seed);
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            var shown = new StringBuilder();
            for (int at = 0; at < bytes.Length && !assembler.Stopped;)
            {
                int count = random.Next(0, Math.Min(7, bytes.Length - at) + 1);
                Show(shown, assembler.Add(bytes.AsSpan(at, count)));
                at += count;
            }
            Show(shown, assembler.Finish());

            (int end, int start) = FirstStop(text, stops);
            Assert.Equal(end >= 0, assembler.Stopped);
            Assert.Equal(end >= 0 ? text[..start] : text, shown.ToString());
        }));

    [Theory]
    [InlineData("xaby", new[] { "aby", "b" }, "xa")]
    [InlineData("xaby", new[] { "b", "ab" }, "x")]
    [InlineData("xaby", new[] { "bz", "abyz", "y" }, "xab")]
    public void Of_overlapping_stop_strings_the_one_complete_first_counts_in_one_piece_or_many(string text, string[] stops, string expected)
    {
        TextAssembler whole = new(stops), letters = new(stops);
        Assert.Equal(expected, whole.Add(Encoding.UTF8.GetBytes(text)));
        Assert.Equal(expected, string.Concat(text.Select(letter => letters.Add(Encoding.UTF8.GetBytes([letter])))));
    }

    [Fact]
    public void Text_that_cannot_begin_a_stop_string_is_shown_at_once()
    {
        var assembler = new TextAssembler(["STOP"]);
        Assert.Equal("ab", assembler.Add("ab"u8));
        Assert.Equal("", assembler.Add("S"u8));
        Assert.Equal("S", assembler.Add("S"u8));
        Assert.Equal("", assembler.Add("TO"u8));
        Assert.Equal("STOx", assembler.Add("x"u8));
    }

    [Fact]
    public void Half_a_character_is_shown_only_when_the_rest_has_come()
    {
        var assembler = new TextAssembler([]);
        byte[] bytes = Encoding.UTF8.GetBytes("😀");
        Assert.Equal(["", "", "", "😀"], bytes.Select(b => assembler.Add([b])));
    }

    private static (int End, int Start) FirstStop(string text, string[] stops)
    {
        for (int end = 0; end <= text.Length; end++)
        {
            int[] lengths = [.. stops.Where(stop => text[..end].EndsWith(stop, StringComparison.Ordinal)).Select(stop => stop.Length)];
            if (lengths.Length > 0) return (end, end - lengths.Max());
        }
        return (-1, -1);
    }

    private static void Show(StringBuilder shown, string piece)
    {
        Assert.DoesNotContain('\uFFFD', piece);
        Assert.True(piece.Length == 0 || (!char.IsLowSurrogate(piece[0]) && !char.IsHighSurrogate(piece[^1])), "half a character was shown");
        shown.Append(piece);
    }
}
