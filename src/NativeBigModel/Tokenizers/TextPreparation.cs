using System.Text;
using NativeBigModel.Checkpoints.Gguf;

namespace NativeBigModel.Tokenizers;

/// <summary>
/// Does to a text what its tokenizer does before the model: normalises it, cuts added tokens out, puts spaces before it. The stretches that remain, tokenized
/// by an engine that was <see cref="Adapt">adapted</see>, get Hugging Face's ids.
/// </summary>
/// <remarks>
/// For byte-level BPE the words are found here too and spelt in the <see cref="ByteAlphabet"/>, a line each: the engine splits at line ends and nowhere else, and
/// has no token for them.
/// </remarks>
internal sealed class TextPreparation
{
    // llama.cpp's pre-tokenizer that neither splits lines nor spells bytes.
    public const string Lines = "sarvam-moe";

    private const string Symbol = SpaceRules.Symbol;

    private readonly TextRules _rules;
    private readonly TextNormalizer _normalizer;
    private readonly AddedTokenCutter _raw;
    private readonly AddedTokenCutter _normalized;
    private readonly AddedTokenCutter _unnormalized;
    private readonly HashSet<int> _late;
    private readonly TokenKind[] _kinds;
    private readonly int? _unknown;
    private readonly string[] _tokens;
    private readonly WordSplitter? _words;
    private readonly UnigramPath? _path;
    private readonly bool _addsBos;
    private readonly Task<Dictionary<string, int>>? _wholeWords;
    private readonly bool _lineEndIsToken;

    /// <param name="file">Whose vocabulary it is, for errors.</param>
    /// <param name="tokens">Token texts by id.</param>
    /// <param name="kinds">One per token.</param>
    /// <param name="rules">What the tokenizer does.</param>
    /// <param name="words">The pre-tokenizer of byte-level BPE; null for other models.</param>
    /// <param name="path">What tokenizes in the engine's place; null where the engine does.</param>
    public TextPreparation(string file, string[] tokens, TokenKind[] kinds, TextRules rules, PreTokenizer? words = null, UnigramPath? path = null)
    {
        (_rules, _kinds, _tokens, _path) = (rules, kinds, tokens, path);
        if (words is not null)
        {
            (_words, _addsBos) = (new(words.Rules), words.AddsBos);
            _lineEndIsToken = Array.Exists(tokens, static token => token is "\n" or "<0x0A>");
            if (words.IgnoreMerges) _wholeWords = Task.Run(() => WholeWords(tokens, kinds)); // beside the rest of a load
        }
        _normalizer = TextNormalizer.Parse(file, rules.Normalizer);
        HashSet<int> normalized = _normalizer.DoesNothing ? [] : [.. rules.Normalized];
        List<(string Text, int Id)> added = [];
        for (int i = 0; i < tokens.Length; i++)
        {
            if (tokens[i].Length > 0 && kinds[i] is TokenKind.UserDefined or TokenKind.Control or TokenKind.Unknown) added.Add((tokens[i], i));
        }
        _raw = new(added.Where(token => !normalized.Contains(token.Id)), rules);
        _normalized = new(added.Where(token => normalized.Contains(token.Id)).Select(token => (_normalizer.Apply(token.Text), token.Id)).Where(token => token.Item1.Length > 0), rules);
        _unnormalized = new(added.Where(token => normalized.Contains(token.Id)), rules);
        _late = [.. normalized, .. rules.WholeWord];
        _unknown = Array.IndexOf(kinds, TokenKind.Unknown) is >= 0 and var id ? id : null;
    }

    public TextRules Rules => _rules;

    /// <summary>Whether the token is one that a text without special tokens leaves out.</summary>
    public bool IsSpecial(int token) => _kinds[token] is TokenKind.Control or TokenKind.Unknown;

    /// <summary>The text in pieces. Spellings of special tokens are those tokens, but where they overlap one of the ranges of <paramref name="literal"/>, [Begin, End) in order.</summary>
    public IEnumerable<TextPiece> Split(string text, IReadOnlyList<(int Begin, int End)>? literal = null)
    {
        LiteralRanges ranges = new(literal ?? []);
        foreach ((TextPiece raw, int at) in _raw.Cut(UnicodeNormalization.WellFormed(text), (token, begin, end) => IsSpecial(token) && ranges.Overlap(begin, end)))
        {
            if (raw.Token is not null)
            {
                yield return raw;
                continue;
            }
            foreach ((TextPiece piece, int offset) in _normalized.Cut(_normalizer.Apply(raw.Text), LiteralTokens(raw.Text, at, ranges)))
            {
                if (piece.Token is not null) yield return piece;
                else foreach (TextPiece part in Words(piece.Text, isFirst: at == 0 && offset == 0)) yield return part;
            }
        }
    }

    // Normalising moves places, and keeps order: of each token, the spelling of the same number is the same.
    private Func<int, int, int, bool>? LiteralTokens(string stretch, int at, LiteralRanges ranges)
    {
        if (!ranges.Overlap(at, at + stretch.Length)) return null;
        Dictionary<int, Queue<bool>> literal = [];
        foreach ((TextPiece piece, int offset) in _unnormalized.Cut(stretch))
        {
            if (piece.Token is not { } token) continue;
            if (!literal.TryGetValue(token, out Queue<bool>? places)) literal[token] = places = new();
            places.Enqueue(ranges.Overlap(at + offset, at + offset + _tokens[token].Length));
        }
        return (token, _, _) => IsSpecial(token) && (!literal.TryGetValue(token, out Queue<bool>? places) || !places.TryDequeue(out bool isText) || isText);
    }

    /// <summary>The bytes that a token stands for where they are known here: where the engine knows them spelt.</summary>
    public byte[]? Bytes(int token) => _words is null ? null : _kinds[token] switch
    {
        TokenKind.Normal => ByteAlphabet.Read(_tokens[token]),
        TokenKind.Unused => [],
        _ => Encoding.UTF8.GetBytes(_tokens[token]),
    };

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
        metadata.Remove("general.name"); // from some names llama.cpp concludes flags of tokens, and refuses where these are not there
        foreach (string flag in (string[])["add_space_prefix", "remove_extra_whitespaces", "normalizer.lowercase", "normalizer.strip_accents"]) metadata[$"tokenizer.ggml.{flag}"] = false;
        if (_words is not null)
        {
            metadata["tokenizer.ggml.pre"] = Lines;
            if (metadata.Find("tokenizer.ggml.add_bos_token") is null) metadata["tokenizer.ggml.add_bos_token"] = _addsBos;
        }
        metadata["tokenizer.ggml.token_type"] = _kinds.Select((kind, id) => (int)(IsHidden(kind, id) ? TokenKind.Control : kind)).ToArray();
    }

    private static Dictionary<string, int> WholeWords(string[] tokens, TokenKind[] kinds)
    {
        var words = new Dictionary<string, int>(tokens.Length, StringComparer.Ordinal);
        for (int id = 0; id < tokens.Length; id++)
        {
            if (kinds[id] is TokenKind.Normal) words.TryAdd(tokens[id], id);
        }
        return words;
    }

    // llama.cpp cuts user-defined tokens out of every text, and control tokens only where it is asked to. In a Unigram vocabulary it also looks for rows that no token has.
    private bool IsHidden(TokenKind kind, int id) => kind is TokenKind.Unused || (kind is TokenKind.UserDefined && (_words is not null || _late.Contains(id)));

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
        if (_words is not null) return Spelt(_words.Split(text));
        if (_path is not null) return _path.Split(text);
        return _rules.LongestWord > 0 && _unknown is not null ? WithoutLongWords(text) : text.Length > 0 ? [new(text)] : [];
    }

    private IEnumerable<TextPiece> Spelt(IEnumerable<string> words)
    {
        StringBuilder lines = new();
        Dictionary<string, int>? wholeWords = _wholeWords?.GetAwaiter().GetResult();
        foreach (string word in words)
        {
            string spelt = ByteAlphabet.Spell(word);
            int? whole = wholeWords is not null && wholeWords.TryGetValue(spelt, out int id) ? id : null;
            if (lines.Length > 0 && (whole is not null || _lineEndIsToken))
            {
                yield return new(lines.ToString());
                lines.Clear();
            }
            if (whole is not null) yield return new("", whole);
            else lines.Append(lines.Length > 0 ? "\n" : "").Append(spelt);
        }
        if (lines.Length > 0) yield return new(lines.ToString());
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
