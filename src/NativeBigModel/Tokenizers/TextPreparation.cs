using System.Text;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// Does to a text what its tokenizer does before the model: normalises it, cuts added tokens out, puts spaces before it. The stretches that remain, tokenized
/// by an engine that was <see cref="Adapt">adapted</see>, get Hugging Face's ids.
/// </summary>
internal sealed class TextPreparation
{
    private const string Symbol = SpaceRules.Symbol;

    private readonly TextRules _rules;
    private readonly TextNormalizer _normalizer;
    private readonly AddedTokenCutter _raw;
    private readonly AddedTokenCutter _normalized;
    private readonly HashSet<int> _late;
    private readonly TokenKind[] _kinds;
    private readonly int? _unknown;

    /// <param name="file">Whose vocabulary it is, for errors.</param>
    /// <param name="tokens">Token texts by id.</param>
    /// <param name="kinds">One per token.</param>
    /// <param name="rules">What the tokenizer does.</param>
    public TextPreparation(string file, string[] tokens, TokenKind[] kinds, TextRules rules)
    {
        (_rules, _kinds) = (rules, kinds);
        _normalizer = TextNormalizer.Parse(file, rules.Normalizer);
        HashSet<int> normalized = _normalizer.DoesNothing ? [] : [.. rules.Normalized];
        List<(string Text, int Id)> added = [.. tokens.Select((text, id) => (text, id)).Where(token => kinds[token.id] is TokenKind.UserDefined or TokenKind.Control or TokenKind.Unknown)];
        _raw = new(added.Where(token => !normalized.Contains(token.Id)), rules);
        _normalized = new(added.Where(token => normalized.Contains(token.Id)).Select(token => (_normalizer.Apply(token.Text), token.Id)).Where(token => token.Item1.Length > 0), rules);
        _late = [.. normalized, .. rules.WholeWord];
        _unknown = Array.IndexOf(kinds, TokenKind.Unknown) is >= 0 and var id ? id : null;
    }

    public TextRules Rules => _rules;

    /// <summary>Whether the token is one that a text without special tokens leaves out.</summary>
    public bool IsSpecial(int token) => _kinds[token] is TokenKind.Control or TokenKind.Unknown;

    /// <summary>The text in pieces. Spellings of special tokens are those tokens.</summary>
    public IEnumerable<TextPiece> Split(string text)
    {
        foreach ((TextPiece raw, int at) in _raw.Cut(UnicodeNormalization.WellFormed(text)))
        {
            if (raw.Token is not null)
            {
                yield return raw;
                continue;
            }
            foreach ((TextPiece piece, int offset) in _normalized.Cut(_normalizer.Apply(raw.Text)))
            {
                if (piece.Token is not null) yield return piece;
                else foreach (TextPiece part in Words(piece.Text, isFirst: at == 0 && offset == 0)) yield return part;
            }
        }
    }

    /// <summary>The text of tokens.</summary>
    /// <param name="tokens">Ids, each with the bytes that llama.cpp has for it.</param>
    public string Join(IEnumerable<(int Token, byte[] Bytes)> tokens)
    {
        if (_rules.Join is TextJoin.Words or TextJoin.CleanWords)
        {
            return WordJoin.Join(tokens.Select(token => (_kinds[token.Token] is TokenKind.Normal ? "" : " ") + Encoding.UTF8.GetString(token.Bytes)), clean: _rules.Join is TextJoin.CleanWords);
        }
        string text = Encoding.UTF8.GetString([.. tokens.SelectMany(token => token.Bytes)]);
        return _rules.Join is TextJoin.WithoutFirstSpace && text.StartsWith(' ') ? text[1..] : text;
    }

    /// <summary>Takes out of the engine's metadata what is done here, and what would cut tokens out of a stretch once more.</summary>
    public void Adapt(GgufMetadata metadata)
    {
        metadata.Remove("tokenizer.ggml.precompiled_charsmap");
        foreach (string flag in (string[])["add_space_prefix", "remove_extra_whitespaces", "normalizer.lowercase", "normalizer.strip_accents"]) metadata[$"tokenizer.ggml.{flag}"] = false;
        // llama.cpp cuts user-defined tokens out of every text, and control tokens only where it is asked to.
        // In a Unigram vocabulary it also looks for the rows that no token has.
        metadata["tokenizer.ggml.token_type"] = _kinds.Select((kind, id) => (int)(kind is TokenKind.Unused || (kind is TokenKind.UserDefined && _late.Contains(id)) ? TokenKind.Control : kind)).ToArray();
    }

    private IEnumerable<TextPiece> Words(string stretch, bool isFirst)
    {
        string text = _rules.Space switch
        {
            SpacePrefix.ByteLevel when stretch[0] != ' ' => " " + stretch,
            SpacePrefix.Metaspace => Metaspace(stretch),
            SpacePrefix.MetaspaceFirst when isFirst => Metaspace(stretch),
            SpacePrefix.MetaspaceWords => string.Concat(stretch.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries).Select(Metaspace)),
            _ => stretch,
        };
        return _rules.LongestWord > 0 ? WithoutLongWords(text) : text.Length > 0 ? [new(text)] : [];
    }

    private static string Metaspace(string text) => text[0] is ' ' or '\u2581' ? text : Symbol + text;

    // WordPiece calls a long word unknown without looking at it.
    private IEnumerable<TextPiece> WithoutLongWords(string text)
    {
        (int start, int word, int letters) = (0, 0, 0);
        int at = 0;
        foreach (Rune rune in text.EnumerateRunes().Append(new Rune(' ')))
        {
            bool ends = Rune.IsWhiteSpace(rune) || BertText.IsPunctuation(rune);
            if (ends && letters > _rules.LongestWord)
            {
                if (word > start) yield return new(text[start..word]);
                yield return new("", _unknown);
                start = at;
            }
            at += rune.Utf16SequenceLength;
            (word, letters) = ends ? (at, 0) : (word, letters + 1);
        }
        if (start < text.Length) yield return new(text[start..]);
    }
}
