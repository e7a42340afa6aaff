using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// Splits a text into words by the rules of a pre-tokenizer, one after the other; matches and what lies between them are words. llama.cpp does most of them by
/// std::regex, which knows two kinds of letters and ends the process on a long run of one kind.
/// </summary>
internal sealed class WordSplitter(string rules)
{
    // ASCII's, and what was punctuation when tokenizers' table of it was made.
    private const string Punctuation = @"[\p{P}$+<=>^`|~\u166d-[\u061d\u09fd\u0a76\u0c77\u0c84\u1b4e\u1b4f\u1b7d-\u1b7f\u2e43-\u2e4f\u2e52-\u2e5d]]";

    // In the spelling of the .NET library: no possessive quantifiers, no set in a set, no scripts, no repetition repeated; the long s is a letter of its own, and other
    // characters stand in a word. Digits are cut by three within their runs of 510, which comes to the same without these.
    private static readonly (string There, string Here)[] s_spellings =
    [
        (SplittingRules.PunctuationRuns, $"{Punctuation}+"),
        (SplittingRules.EachPunctuation, Punctuation),
        (SplittingRules.AnyCase, "(?:'[sS\u017f]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"),
        ("'(?i:[sdmt]|ll|ve|re)", "'(?:[sS\u017fdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])"),
        (@"[^\r\n\p{L}\p{N}]?+\p{L}+", @"(?>[^\r\n\p{L}\p{N}]?)\p{L}+"),
        (@"[^\s\p{L}\p{N}]++", @"(?>[^\s\p{L}\p{N}]+)"),
        (@"|[.,!?…。，、।۔،])]+", @"|.,!?…。，、।۔،)]+"),
        (SplittingRules.CasedBeyondBmp, ""),
        (@"(?=(?:\d{3})*\b)", @"(?=(?:\d{3})*(?![\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\u00b2\u00b3\u00b9\u00bc-\u00be\u24b6-\u24e9]))"),
        (SplittingRules.DigitChunks, SplittingRules.DecimalRuns),
        (@"(?=\p{Nd}{3}+\z)", @"(?=(?:\p{Nd}{3})+\z)"),
        (SplittingRules.Han, $"[{HanScript.Bmp}]"),
        (@"&&[^\p{Han}]]", $"-[{HanScript.Bmp}]]"),
    ];

    private static readonly (int First, int Last)[] s_casedBeyond = [.. Ranges([.. SplittingRules.CasedBeyondBmp.EnumerateRunes()])];

    private readonly bool _knowsHan = rules.Contains(SplittingRules.Han, StringComparison.Ordinal);

    // Made beside the rest of a load: the first text needs them.
    private readonly Task<Regex[]> _rules = Task.Run(() => Array.ConvertAll(rules.Split('\n'), static rule =>
        new Regex(s_spellings.Aggregate(rule, static (current, spelling) => current.Replace(spelling.There, spelling.Here, StringComparison.Ordinal)), RegexOptions.CultureInvariant)));

    /// <summary>The words in order; together they are the text.</summary>
    public IEnumerable<string> Split(string text)
    {
        (string shadow, int[]? starts) = Shadow(text);
        IEnumerable<(int Start, int End)> parts = [(0, shadow.Length)];
        foreach (Regex rule in _rules.GetAwaiter().GetResult()) parts = [.. parts.SelectMany(part => Cut(rule, shadow, part.Start, part.End))];
        return parts.Select(part => starts is null ? text[part.Start..part.End] : text[starts[part.Start]..starts[part.End]]);
    }

    // A part is all that the rule sees.
    private static IEnumerable<(int Start, int End)> Cut(Regex rule, string text, int start, int end)
    {
        string part = text.Length == end - start ? text : text[start..end];
        int at = 0;
        for (Match match = rule.Match(part); match.Success; match = match.NextMatch())
        {
            if (match.Index > at) yield return (start + at, start + match.Index);
            at = match.Index + match.Length;
            if (match.Length > 0) yield return (start + match.Index, start + at);
        }
        if (start + at < end) yield return (start + at, end);
    }

    // .NET's expressions see UTF-16: every character beyond the first 65536 is stood in for by one of its category that no rule names.
    private (string Shadow, int[]? Starts) Shadow(string text)
    {
        if (!text.Any(char.IsSurrogate)) return (text, null);
        StringBuilder shadow = new(text.Length);
        List<int> starts = [];
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes())
        {
            shadow.Append(rune.IsBmp ? (char)rune.Value : _knowsHan && HanScript.HasBeyondBmp(rune) ? HanStandIn(rune) : StandIn(rune));
            starts.Add(at);
            at += rune.Utf16SequenceLength;
        }
        return (shadow.ToString(), [.. starts, at]);
    }

    private static IEnumerable<(int First, int Last)> Ranges(Rune[] set)
    {
        for (int i = 0; i < set.Length; i += 3) yield return (set[i].Value, set[i + 2].Value);
    }

    // Letters with a case come in two kinds: those that SplittingRules.CasedBeyondBmp has, and others.
    private static char StandIn(Rune rune) => Rune.GetUnicodeCategory(rune) switch
    {
        UnicodeCategory.UppercaseLetter => IsListed(rune) ? '\u0100' : '\uA7B8',
        UnicodeCategory.LowercaseLetter => IsListed(rune) ? '\u0101' : '\uA7B9',
        UnicodeCategory.TitlecaseLetter => '\u01C5',
        UnicodeCategory.ModifierLetter => '\u02B0',
        UnicodeCategory.OtherLetter => '\u01BB',
        UnicodeCategory.NonSpacingMark => '\u0300',
        UnicodeCategory.SpacingCombiningMark => '\uA823',
        UnicodeCategory.EnclosingMark => '\u0488',
        UnicodeCategory.DecimalDigitNumber => '\u0660',
        UnicodeCategory.LetterNumber => '\uA6E6',
        UnicodeCategory.OtherNumber => '\uA830',
        UnicodeCategory.MathSymbol => '\u00AC',
        UnicodeCategory.CurrencySymbol => '\u00A2',
        UnicodeCategory.ModifierSymbol => '\u00A8',
        UnicodeCategory.OtherSymbol => '\u00A6',
        UnicodeCategory.ConnectorPunctuation => '\u203F',
        UnicodeCategory.DashPunctuation => '\u058A',
        UnicodeCategory.OpenPunctuation => '\uFE59',
        UnicodeCategory.ClosePunctuation => '\uFE5A',
        UnicodeCategory.InitialQuotePunctuation => '\u00AB',
        UnicodeCategory.FinalQuotePunctuation => '\u00BB',
        UnicodeCategory.OtherPunctuation => '\u00A1',
        _ => '\uE000',
    };

    // Rules that know the script tell of its characters no more than letters, numbers and the rest.
    private static char HanStandIn(Rune rune) => Rune.IsLetter(rune) ? '\u3400' : Rune.IsNumber(rune) ? '\u3007' : '\u2E80';

    private static bool IsListed(Rune rune) => s_casedBeyond.Any(range => rune.Value >= range.First && rune.Value <= range.Last);
}
